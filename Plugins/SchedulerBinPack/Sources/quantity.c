#include "facts.h"

int64_t amount_clamp(int64_t amount) { return amount < 0 ? 0 : amount > AMOUNT_LIMIT ? AMOUNT_LIMIT : amount; }

/// A magnitude while it is scaled: 27 digits before the point are kept, and of the fraction what makes 18 in all; what is
/// beyond only rounds up.
typedef struct magnitude {
    unsigned __int128 number;
    bool has_rest, is_endless;
} magnitude;

static const unsigned __int128 endless = (unsigned __int128)1 << 120;

static void multiply(magnitude *magnitude, unsigned factor, int times) {
    while (times-- > 0 && !magnitude->is_endless) {
        magnitude->number *= factor;
        if (magnitude->number >= endless) magnitude->is_endless = true;
        if (magnitude->number == 0) return;
    }
}

static void divide(magnitude *magnitude, int times) {
    while (times-- > 0 && magnitude->number > 0) {
        if (magnitude->number % 10 != 0) magnitude->has_rest = true;
        magnitude->number /= 10;
    }
}

static unsigned __int128 thousands(int power) {
    unsigned __int128 result = 1;
    while (power-- > 0) result *= 1000;
    return result;
}

/// Digits with an optional point: how many are behind it goes to `scale`. Where the suffix begins, 0 for no digits.
static uint32_t read_digits(text quantity, uint32_t at, magnitude *magnitude, int *scale) {
    bool is_fraction = false, any = false;
    for (; at < quantity.size; at++) {
        char byte = quantity.data[at];
        if (byte == '.' && !is_fraction) {
            is_fraction = true;
            continue;
        }
        if (byte < '0' || byte > '9') break;
        any = true;
        if (magnitude->number < (is_fraction ? thousands(6) : thousands(9))) {
            magnitude->number = magnitude->number * 10 + (unsigned)(byte - '0');
            *scale += is_fraction ? 1 : 0;
        } else if (is_fraction) {
            magnitude->has_rest |= byte != '0';
        } else {
            magnitude->is_endless = true;
        }
    }
    return any ? at : 0;
}

/// Powers of ten and of two that a suffix stands for.
static bool read_suffix(text suffix, int *tens, int *twos) {
    static const char decimal[] = "numkMGTPE", binary[] = "KMGTPE";
    static const int powers[] = {-9, -6, -3, 3, 6, 9, 12, 15, 18};
    if (suffix.size == 0) return true;
    if (suffix.size == 1) {
        for (int index = 0; index < 9; index++)
            if (decimal[index] == suffix.data[0]) return *tens = powers[index], true;
        return false;
    }
    if (suffix.size == 2 && suffix.data[1] == 'i') {
        for (int index = 0; index < 6; index++)
            if (binary[index] == suffix.data[0]) return *twos = 10 * (index + 1), true;
        return false;
    }
    int64_t power;
    if ((suffix.data[0] | 0x20) != 'e' || !text_integer((text){suffix.data + 1, suffix.size - 1}, &power)) return false;
    if (power <= -1000 || power >= 1000) return false;
    return *tens = (int)power, true;
}

bool quantity_parse(text quantity, int64_t *value) {
    magnitude magnitude = {0};
    int scale = 0, tens = 0, twos = 0;
    uint32_t start = quantity.size > 0 && (quantity.data[0] == '-' || quantity.data[0] == '+') ? 1 : 0;
    uint32_t at = read_digits(quantity, start, &magnitude, &scale);
    if (at == 0 || !read_suffix((text){quantity.data + at, quantity.size - at}, &tens, &twos)) return false;
    tens -= scale;
    multiply(&magnitude, 2, twos);
    multiply(&magnitude, 10, tens > 0 ? tens : 0);
    if (!magnitude.is_endless) divide(&magnitude, tens < 0 ? -tens : 0);
    if (magnitude.has_rest) magnitude.number++;
    if (magnitude.is_endless || magnitude.number > INT64_MAX) magnitude.number = INT64_MAX;
    *value = quantity.data[0] == '-' ? -(int64_t)magnitude.number : (int64_t)magnitude.number;
    return true;
}

int64_t quantity_read(call *call, const json *value) {
    int64_t number;
    bool is_quantity = value->kind == JSON_STRING || value->kind == JSON_NUMBER;
    if (!is_quantity || !quantity_parse(value->string, &number))
        call_fail(call, HOSTD_ERROR_INVALID_ARGUMENT, "\"%.*s\" is no quantity",
                  is_quantity && value->string.size < 64 ? (int)value->string.size : 0, value->string.data);
    return number;
}
