// A target needs a source; the role is all in the header.
#include "CRole.h"
