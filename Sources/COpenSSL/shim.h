/// OpenSSL for Swift: its headers, and static inline wrappers for what are macros or variadic functions there.
#pragma once
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/// A new ECDSA key on P-256, owned by the caller; NULL when the generator failed.
static inline EVP_PKEY *hostd_openssl_generate_p256(void) { return EVP_EC_gen("P-256"); }

/// The bytes that a memory BIO holds; they stay the BIO's.
static inline long hostd_openssl_bio_data(BIO *bio, char **data) { return BIO_get_mem_data(bio, data); }

/// Modes of a server that keeps many idle connections: partial writes, buffers that move, buffers released when idle.
static inline void hostd_openssl_set_lean_mode(SSL_CTX *context) {
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
}

/// Reads a whole record, or several, in one system call.
static inline void hostd_openssl_read_ahead(SSL_CTX *context) { SSL_CTX_set_read_ahead(context, 1); }

static inline int hostd_openssl_require_tls12(SSL_CTX *context) {
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

static inline void hostd_openssl_disable_session_cache(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

/// Prepares the issuer and subject that X.509 v3 extensions refer to.
static inline X509_EXTENSION *hostd_openssl_make_extension(X509 *issuer, X509 *subject, int identifier,
                                                           const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, subject, NULL, NULL, 0);
    return X509V3_EXT_conf_nid(NULL, &context, identifier, value);
}

static inline EVP_MD_CTX *hostd_openssl_digest_context(void) { return EVP_MD_CTX_new(); }
