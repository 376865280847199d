/// Role hostd.api-extension/1: HTTP paths served by a plugin behind the API front, which has authenticated and
/// authorized the caller: exec, logs, metrics, dashboards. Several plugins may provide it.
#ifndef HOSTD_ROLES_API_EXTENSION_H
#define HOSTD_ROLES_API_EXTENSION_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_API_EXTENSION_1 "hostd.api-extension/1"
#define HOSTD_API_EXTENSION_1_SLOTS "routes:oe;serve:tbbFoe"

typedef struct hostd_api_extension_1 {
    hostd_interface interface;
    /// JSON {"routes":[{"methods":["GET","POST"],"path":"/api/v1/namespaces/{namespace}/pods/{name}/exec",
    /// "upgrade":"websocket"|"ports"|"none","subprotocols":["v5.channel.k8s.io"]}]}. A `{rest...}` at the end takes all that
    /// is left. With "websocket", clients may come over SPDY/3.1 as well where v4.channel.k8s.io is among the subprotocols:
    /// the extension sees the same packets. With "ports", clients forward connections to ports, over SPDY/3.1 or WebSocket:
    /// `serve` is first asked without, then, for each connection, with "connection":{"port":8080} in its request. An
    /// "address" beside the port is the one of the pod's addresses to connect to; without it, that is loopback. The front
    /// connects in this way, without asking first, for requests that it carries on to pods. Ports that a client names in
    /// the query are "ports", below /api/v1/nodes "port".
    /// A plugin that is a node may say so beside its routes: "nodePort":{"node":"alpha","address":"0.0.0.0","port":10250}.
    /// The front then listens there, too, over HTTPS: what is asked for at /PATH is the route of
    /// /api/v1/nodes/alpha/proxy/PATH, for who has a name and may see it (docs/api-access.md).
    int32_t (*routes)(void *HOSTD_NULLABLE self, hostd_buffer *json, hostd_error *error);
    /// Serves one request. `request` is JSON {"method","path","parameters":{…},"query":{"name":["value"]},"headers":{…},
    /// "user":{"name","groups":[…]},"subprotocol","connection"}; `body` is the request's body. The answer's head is JSON {"status":200,
    /// "headers":{"Content-Type":"text/plain"},"stream":false} with the body in "body" (text) or "bodyBase64"; with
    /// "stream":true the body follows over `stream`, a SOCK_SEQPACKET socket that now belongs to the extension: one packet
    /// (at most 64 KiB) is one chunk of the body, or one WebSocket binary message in either direction; closing it ends the
    /// response. Of a route for ports a packet is a piece of the connection's bytes, and shutdown(SHUT_WR) ends one
    /// direction. Without "stream" the extension closes it. Returns when the head is known; the stream goes on afterwards.
    int32_t (*serve)(void *HOSTD_NULLABLE self, uint64_t deadline_ns, const uint8_t *request, uint64_t request_size,
                     const uint8_t *HOSTD_NULLABLE body, uint64_t body_size, int32_t stream, hostd_buffer *response,
                     hostd_error *error);
} hostd_api_extension_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
