#include "hostd/plugin.h"
