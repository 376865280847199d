#include "schema.h"

#define TEXT(bytes) ((struct hostd_embedded_text){bytes, sizeof(bytes)})

static const uint8_t schema[] = {
#embed "schema.txt"
};
static const uint8_t defaults[] = {
#embed "defaults.txt"
};
static const uint8_t validation[] = {
#embed "validation.txt"
};
static const uint8_t descriptions[] = {
#embed "descriptions.txt"
};
static const uint8_t protobuf[] = {
#embed "protobuf.txt"
    ,
#embed "protobuf-more.txt"
};

struct hostd_embedded_text hostd_schema_text(void) { return TEXT(schema); }
struct hostd_embedded_text hostd_defaults_text(void) { return TEXT(defaults); }
struct hostd_embedded_text hostd_validation_text(void) { return TEXT(validation); }
struct hostd_embedded_text hostd_descriptions_text(void) { return TEXT(descriptions); }
struct hostd_embedded_text hostd_protobuf_text(void) { return TEXT(protobuf); }
