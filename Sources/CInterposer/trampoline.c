#include <pthread.h>

#include "internal.h"

/// Entries of interposed slots, in place of libffi's closures: a stub loads its number, and the code that all share lays
/// the argument registers out in memory as words, which costs a fraction of sorting arguments by their types. A stub stands
/// for one slot of one binding; what is asked for when all are in use gets a closure.
#define TRAMPOLINE_COUNT 4096
#define TRAMPOLINE_SIZE 16
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

#if HAS_TRAMPOLINES

static _Atomic(const closure_slot *) slots[TRAMPOLINE_COUNT];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/// Where the search for a free one begins; under `lock`.
static uint32_t following;

extern const char interposer_trampolines[] __attribute__((visibility("hidden")));

#define BEGIN_STUBS \
    ".text\n" \
    ".p2align 6\n" \
    ".hidden interposer_trampolines\n" \
    ".globl interposer_trampolines\n" \
    ".type interposer_trampolines, %function\n" \
    "interposer_trampolines:\n" \
    ".set number, 0\n" \
    ".rept " TEXT(TRAMPOLINE_COUNT) "\n"
#define END_STUBS \
    ".set number, number + 1\n" \
    ".endr\n" \
    ".size interposer_trampolines, . - interposer_trampolines\n"

#if defined(__x86_64__)
// System V ABI: integers in rdi rsi rdx rcx r8 r9, then words on the stack behind the return address.
__asm__(BEGIN_STUBS
        ".p2align 4\n"
        "endbr64\n"
        "movl $number, %eax\n"
        "jmp 1f\n" END_STUBS
        ".p2align 4\n"
        "1:\n"
        ".cfi_startproc\n"
        "pushq %rbp\n"
        ".cfi_def_cfa_offset 16\n"
        ".cfi_offset %rbp, -16\n"
        "movq %rsp, %rbp\n"
        ".cfi_def_cfa_register %rbp\n"
        "pushq %r9\n"
        "pushq %r8\n"
        "pushq %rcx\n"
        "pushq %rdx\n"
        "pushq %rsi\n"
        "pushq %rdi\n"
        "movl %eax, %edi\n"
        "movq %rsp, %rsi\n"
        "leaq 16(%rbp), %rdx\n"
        "call interposer_trampoline_arrived\n"
        "leave\n"
        ".cfi_def_cfa %rsp, 8\n"
        "ret\n"
        ".cfi_endproc\n");
#elif defined(__aarch64__)
// AAPCS64: integers in x0 to x7, then words on the stack. (The first instruction is `bti c`.)
__asm__(BEGIN_STUBS
        ".p2align 4\n"
        "hint #34\n"
        "mov w9, #number\n"
        "b 1f\n"
        "nop\n" END_STUBS
        "1:\n"
        ".cfi_startproc\n"
        "stp x29, x30, [sp, #-80]!\n"
        ".cfi_def_cfa_offset 80\n"
        ".cfi_offset x29, -80\n"
        ".cfi_offset x30, -72\n"
        "mov x29, sp\n"
        "stp x0, x1, [sp, #16]\n"
        "stp x2, x3, [sp, #32]\n"
        "stp x4, x5, [sp, #48]\n"
        "stp x6, x7, [sp, #64]\n"
        "mov w0, w9\n"
        "add x1, sp, #16\n"
        "add x2, sp, #80\n"
        "bl interposer_trampoline_arrived\n"
        "ldp x29, x30, [sp], #80\n"
        ".cfi_def_cfa_offset 0\n"
        ".cfi_restore x29\n"
        ".cfi_restore x30\n"
        "ret\n"
        ".cfi_endproc\n");
#endif

/// What every stub comes to. `registers` is the caller's to spoil.
__attribute__((used, visibility("hidden"))) int32_t interposer_trampoline_arrived(uint32_t number, word *registers,
                                                                                const word *stack) {
    const closure_slot *slot = atomic_load_explicit(&slots[number], memory_order_relaxed);
    uint32_t count = slot->signature->argument_count;
    if (__builtin_expect(count <= TRAMPOLINE_REGISTERS, 1)) return forward_words(slot, registers);
    word words[WORD_LIMIT];
    for (uint32_t i = 0; i < TRAMPOLINE_REGISTERS; i++) words[i] = registers[i];
    for (uint32_t i = TRAMPOLINE_REGISTERS; i < count; i++) words[i] = stack[i - TRAMPOLINE_REGISTERS];
    return forward_words(slot, words);
}

void (*trampoline_create(closure_slot *slot))(void) {
    if (!slot->signature->is_integral || slot->signature->argument_count > WORD_LIMIT) return NULL;
    void (*function)(void) = NULL;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < TRAMPOLINE_COUNT && function == NULL; i++) {
        uint32_t number = (following + i) % TRAMPOLINE_COUNT;
        if (atomic_load_explicit(&slots[number], memory_order_relaxed) != NULL) continue;
        // Whoever calls the stub has learnt its address after this.
        atomic_store_explicit(&slots[number], slot, memory_order_release);
        following = number + 1;
        function = (void (*)(void))(uintptr_t)(interposer_trampolines + (size_t)number * TRAMPOLINE_SIZE);
    }
    pthread_mutex_unlock(&lock);
    return function;
}

void trampoline_destroy(void (*function)(void)) {
    size_t number = ((uintptr_t)function - (uintptr_t)interposer_trampolines) / TRAMPOLINE_SIZE;
    pthread_mutex_lock(&lock);
    atomic_store_explicit(&slots[number], NULL, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
}

#else

void (*trampoline_create(closure_slot *slot))(void) {
    (void)slot;
    return NULL;
}

void trampoline_destroy(void (*function)(void)) { (void)function; }

#endif
