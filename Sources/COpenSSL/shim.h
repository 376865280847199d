/// OpenSSL for Swift: its headers, and static inline wrappers for what are macros or variadic functions there.
#pragma once
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
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

/// HMAC-SHA-256 into 32 bytes; 1 on success.
static inline int hostd_openssl_hmac_sha256(const unsigned char *key, int key_size, const unsigned char *data,
                                            size_t size, unsigned char *output) {
    unsigned int length = 32;
    return HMAC(EVP_sha256(), key, key_size, data, size, output, &length) != NULL && length == 32;
}

/// AES-256-GCM with a nonce of 12 bytes and a tag of 16: encrypts `size` bytes and authenticates `known` as well. 1 on
/// success. `size` and `known_size` are below 2^31.
static inline int hostd_openssl_gcm_seal(const unsigned char *key, const unsigned char *nonce,
                                         const unsigned char *known, size_t known_size, const unsigned char *plain,
                                         size_t size, unsigned char *output, unsigned char *tag) {
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int length = 0;
    int done = context != NULL && EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
               EVP_EncryptUpdate(context, NULL, &length, known, (int)known_size) == 1 &&
               EVP_EncryptUpdate(context, output, &length, plain, (int)size) == 1 &&
               EVP_EncryptFinal_ex(context, output + length, &length) == 1 &&
               EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, tag) == 1;
    EVP_CIPHER_CTX_free(context);
    return done;
}

/// The way back: 1 when the tag is right; otherwise `output` holds nothing that may be used.
static inline int hostd_openssl_gcm_open(const unsigned char *key, const unsigned char *nonce,
                                         const unsigned char *known, size_t known_size, const unsigned char *sealed,
                                         size_t size, unsigned char *output, const unsigned char *tag) {
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int length = 0;
    int done = context != NULL && EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
               EVP_DecryptUpdate(context, NULL, &length, known, (int)known_size) == 1 &&
               EVP_DecryptUpdate(context, output, &length, sealed, (int)size) == 1 &&
               EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, 16, (void *)tag) == 1 &&
               EVP_DecryptFinal_ex(context, output + length, &length) == 1;
    EVP_CIPHER_CTX_free(context);
    return done;
}

/// HMAC of any digest; the result is its size in `output`, which has room for 64 bytes, or 0.
static inline unsigned int hostd_openssl_hmac(const EVP_MD *digest, const unsigned char *key, int key_size,
                                              const unsigned char *data, size_t size, unsigned char *output) {
    unsigned int length = 64;
    return HMAC(digest, key, key_size, data, size, output, &length) != NULL ? length : 0;
}

/// Encrypts `size` bytes and one byte `last` behind them, and puts the tag of 16 bytes behind that: an AEAD with a nonce of
/// 12 bytes. `context` was made with the cipher; `key` is NULL when it has the key already. 1 on success.
static inline int hostd_openssl_aead_seal(EVP_CIPHER_CTX *context, const unsigned char *key, const unsigned char *nonce,
                                          const unsigned char *known, int known_size, const unsigned char *plain,
                                          int size, unsigned char last, unsigned char *output) {
    int done = 0, more = 0, rest = 0;
    return EVP_EncryptInit_ex(context, NULL, NULL, key, nonce) == 1 &&
           EVP_EncryptUpdate(context, NULL, &done, known, known_size) == 1 &&
           (size == 0 || EVP_EncryptUpdate(context, output, &done, plain, size) == 1) &&
           EVP_EncryptUpdate(context, output + size, &more, &last, 1) == 1 &&
           EVP_EncryptFinal_ex(context, output + size + 1, &rest) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, output + size + 1) == 1;
}

/// The way back, in place; the tag lies behind the `size` bytes. 1 when it is right; otherwise the bytes mean nothing.
static inline int hostd_openssl_aead_open(EVP_CIPHER_CTX *context, const unsigned char *key, const unsigned char *nonce,
                                          const unsigned char *known, int known_size, unsigned char *bytes, int size) {
    int done = 0, rest = 0;
    return EVP_DecryptInit_ex(context, NULL, NULL, key, nonce) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, bytes + size) == 1 &&
           EVP_DecryptUpdate(context, NULL, &done, known, known_size) == 1 &&
           EVP_DecryptUpdate(context, bytes, &done, bytes, size) == 1 &&
           EVP_DecryptFinal_ex(context, bytes + size, &rest) == 1;
}

/// A public RSA key of its modulus and exponent, both big-endian; owned by the caller, NULL when it is none.
static inline EVP_PKEY *hostd_openssl_rsa_key(const unsigned char *modulus, size_t modulus_size,
                                              const unsigned char *exponent, size_t exponent_size) {
    BIGNUM *n = BN_bin2bn(modulus, (int)modulus_size, NULL);
    BIGNUM *e = BN_bin2bn(exponent, (int)exponent_size, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    if (n != NULL && e != NULL && builder != NULL && context != NULL &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1 &&
        (parameters = OSSL_PARAM_BLD_to_param(builder)) != NULL && EVP_PKEY_fromdata_init(context) == 1)
        (void)EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return key;
}

/// A public ECDSA key on a named curve of its uncompressed point; owned by the caller, NULL when it is none.
static inline EVP_PKEY *hostd_openssl_ec_key(const char *curve, const unsigned char *point, size_t size) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, size),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;
    if (context != NULL && EVP_PKEY_fromdata_init(context) == 1)
        (void)EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters);
    EVP_PKEY_CTX_free(context);
    return key;
}

/// Whether a signature of a message holds: RSA with PKCS #1 v1.5, or with PSS and salt as long as the digest; ECDSA with
/// its signature in DER. `digest` is OpenSSL's name of it.
static inline int hostd_openssl_verify(EVP_PKEY *key, const char *digest, int is_pss, const unsigned char *signature,
                                       size_t signature_size, const unsigned char *message, size_t size) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    int holds = context != NULL && EVP_DigestVerifyInit_ex(context, &options, digest, NULL, NULL, key, NULL) == 1 &&
                (!is_pss || (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
                             EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1)) &&
                EVP_DigestVerify(context, signature, signature_size, message, size) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return holds;
}
