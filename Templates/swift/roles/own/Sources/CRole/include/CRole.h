// The role's header, where Swift finds it.
#include "../../../role.h"
