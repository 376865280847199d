# docs/plugin-author-guide.md: every block that is marked `sh run`, in its order, in one directory, word by word.
guide=$work/guide
mkdir -p "$guide"
chmod o+x "$work" # Plugins with a process of their own have a user of their own.
export CONFIG=$work/hostd.yaml
cp "$CONFIG" "$guide/hostd.yaml.before"
awk -v folder="$guide" '
    /^## / {section = substr($0, 4)}
    /^```sh run$/ {number++; file = sprintf("%s/block-%02d.sh", folder, number); print "# " section >file; next}
    /^```/ {file = ""}
    file {print >file}' "$root/docs/plugin-author-guide.md"
equal "the guide has its blocks" 9 sh -c "ls $guide/block-*.sh | wc -l"
run_block() { (cd "$guide" && PATH=$PATH:$build/bin bash -euo pipefail "$1"); }
for block in "$guide"/block-*.sh; do
    check "$(basename "$block" .sh): $(head -n 1 "$block" | cut -c 3-)" run_block "$block"
    case $block in
    *block-04.sh) check "the swap is seen" contains 'hostd\.scheduler/1\* +[1-9][0-9]* +0 .*/tight\.so' "$hostd" plugin list ;;
    *block-07.sh) check "the plugin runs by itself" contains 'hostd-plugin-process.*/tight\.so' ps ax -o args ;;
    esac
done
# As it was, for the cases that follow.
cp "$guide/hostd.yaml.before" "$CONFIG"
check "the configuration is as before" "$hostd" reload
