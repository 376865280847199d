# Shared by script/sanitize and script/fuzz: builds with a sanitizer, each in a directory of its own.

# build_for thread|address [OPTION OF swift build …]
build_for() {
    local sanitizer=$1 targets=Kernel options=(--sanitize="$1" --scratch-path ".build-$1")
    shift
    if [ "$sanitizer" = address ]; then
        targets=Kernel,Fuzz
        # The address sanitizer's build also counts which code runs: libFuzzer looks at that.
        options+=(-Xswiftc -sanitize-coverage=edge,inline-8bit-counters,pc-table,trace-cmp)
        options+=(-Xcc -fsanitize-coverage=edge,inline-8bit-counters,pc-table,trace-cmp)
        export HOSTD_FUZZ
        HOSTD_FUZZ=$(dirname "$(dirname "$(readlink -f "$(command -v swiftc)")")")/lib/clang
        HOSTD_FUZZ=$(find -L "$HOSTD_FUZZ" -name 'libclang_rt.fuzzer_no_main-*.a' -print -quit)
        [ -n "$HOSTD_FUZZ" ] || fail "the Swift toolchain has no libFuzzer"
    fi
    HOSTD_TARGETS=$targets swift build "${options[@]}" "$@"
}
