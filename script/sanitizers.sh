# Shared by script/sanitize and script/fuzz: builds with a sanitizer, each in a directory of its own.

# build_for thread|address [OPTION OF swift build …]
build_for() {
    local sanitizer=$1 targets=Kernel,PlantedRaces options=(--sanitize="$1" --scratch-path ".build-$1") settings=()
    shift
    if [ "$sanitizer" = thread ]; then settings+=(HOSTD_THREAD_SANITIZER=1); fi
    if [ "$sanitizer" = address ]; then
        targets=Kernel,Fuzz
        # The address sanitizer's build also counts which code runs: libFuzzer looks at that.
        options+=(-Xswiftc -sanitize-coverage=edge,inline-8bit-counters,pc-table,trace-cmp)
        options+=(-Xcc -fsanitize-coverage=edge,inline-8bit-counters,pc-table,trace-cmp)
        local fuzzer
        fuzzer=$(dirname "$(dirname "$(readlink -f "$(command -v swiftc)")")")/lib/clang
        fuzzer=$(find -L "$fuzzer" -name 'libclang_rt.fuzzer_no_main-*.a' -print -quit)
        [ -n "$fuzzer" ] || fail "the Swift toolchain has no libFuzzer"
        settings+=(HOSTD_FUZZ="$fuzzer")
    fi
    env HOSTD_TARGETS=$targets "${settings[@]}" swift build "${options[@]}" "$@"
}
