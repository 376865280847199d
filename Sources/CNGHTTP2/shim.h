/// nghttp2's sessions: HTTP/2 framing without sockets.
#pragma once
#include <nghttp2/nghttp2.h>
