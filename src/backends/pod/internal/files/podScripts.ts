/**
 * What runs in the pod while files travel: POSIX sh with `tar`, `find`, `stat`, `head`, `rm` and `mkdir` of GNU or busybox; where the image
 * has no tar, a Node program that is sent along, on the node of the runner's externals.
 *
 * **Details**
 *
 * Both scripts are started as `sh -c <script> sh <directory> <nonce> <externals>` and first tell, in a line, what they work with. Then they
 * read lines of sh from their input: what the other side wants. Reading lines takes no byte too many, which leaves
 * what comes after them to the next reader.
 */

/** Exit codes by which the scripts say what was wrong. */
export const exitCodes = { noDirectory: 90, noTool: 91, noRemoval: 92 } as const

const prologue = `export LC_ALL=C
d=$1 t=$2 e=$3
N='
'
agent() {
for n in node "$e"/node24/bin/node "$e"/node24_alpine/bin/node "$e"/node20/bin/node "$e"/node20_alpine/bin/node; do
"$n" --version </dev/null >/dev/null 2>&1 && echo node && IFS= read -r js && return 0
done
echo none
exit ${exitCodes.noTool}
}
run() { "$n" -e 'eval(Buffer.from(process.argv[1],"base64").toString())' "$js" "$@"; }
lines() { while IFS= read -r l && [ -n "$l" ]; do eval "$l"; done; }
has() { for p; do command -v "$p" >/dev/null 2>&1 || return 1; done; }
`

/**
 * Unpacks what comes. Lines may remove what is in the way (`gone`), set `framed=1` for input in pieces (each a line with its length, then its bytes;
 * 0 is the end) where the end of the input itself cannot be told, and `afterwards` to a script.
 *
 * Last it tells, after the nonce, the exit code of tar, whether the last entry (a file named after the nonce) is there, and the exit code of
 * that script.
 */
export const receiver = `${prologue}own=$(umask)
umask 0
mkdir -p "$d" && cd "$d" || exit ${exitCodes.noDirectory}
if has tar; then
echo tar
x() { tar -xpof -; }
else
agent
x() { run x; }
fi
gone() { rm -rf "$@" || exit ${exitCodes.noRemoval}; }
pieces() {
if dd iflag=fullblock count=0 </dev/null >/dev/null 2>&1; then
while read -r s && [ "$s" -gt 0 ]; do dd bs="$s" count=1 iflag=fullblock 2>/dev/null; done
else
while read -r s && [ "$s" -gt 0 ]; do dd bs=1 count="$s" 2>/dev/null; done
fi
}
framed= afterwards= mark=.jobscope-$t
lines
if [ -n "$framed" ]; then pieces | x; else x; fi
r=$? k=0 c=0
[ -e "$mark" ] && rm -f "$mark" && k=1
if [ $k = 1 ] && [ -n "$afterwards" ]; then (umask "$own"; eval "$afterwards") </dev/null; c=$?; fi
echo
echo "$t $r $k $c"
`

/**
 * Packs files into its output. A line either calls `all` with what to pack, or `some` with what to look through: that prints what is there,
 * and reads (a line with the number of bytes, then paths that each end with NUL) what of it is wanted.
 *
 * Last it tells, after the nonce, the exit code of tar, and waits for a line: when a command ends while its output is still on its way, what
 * the reader has not taken yet may be dropped (seen with Kubernetes 1.36 and containerd 1.6, with kubectl as with us), and the exit code is
 * 0 all the same.
 *
 * A tar that is not GNU's (`tar`) may have no option for a list: it is run as often as its arguments need, which gives several archives,
 * one after another. busybox writes a file of a KB in three parts, each of which would become a message: `thick` puts them together.
 */
export const sender = `${prologue}cd "$d" || exit ${exitCodes.noDirectory}
finish() {
echo
echo "$t $1"
read -r ok
exit 0
}
newer=
if has tar find stat head xargs; then
case $(tar --version 2>/dev/null) in
*GNU*)
echo gnu
whole() { tar -cf - --hard-dereference "$@"; }
picked() { tar -cf - --hard-dereference --no-recursion --null -T -; }
;;
*)
echo tar
exec 4>&1
thick() { dd bs=65536 iflag=fullblock 2>/dev/null || cat; }
whole() { return "$({ { tar -cf - "$@"; echo $? >&3; } | thick >&4; } 3>&1)"; }
picked() { return "$({ { xargs -0 tar -cf - --no-recursion; echo $? >&3; } | thick >&4; } 3>&1)"; }
;;
esac
some() {
find "$@" \${newer:+-newer "$newer"} -exec stat -c "$t %f %s %Y %z|%n" {} +
echo "$t."
read -r s || exit
[ "$s" -gt 0 ] || finish 0
head -c "$s" | picked
finish $?
}
else
agent
whole() { run a "$@"; }
some() { run s "$t" "$newer" "$@"; finish $?; }
fi
all() {
whole "$@"
finish $?
}
lines
`

/** A word of sh in one line, whatever is in it. */
export const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`).replaceAll("\n", `'"$N"'`)}'`

/** Paths as words of sh. None is taken for an option. */
export const words = (paths: ReadonlyArray<string>): string =>
  paths.map((path) => quote(path === "." ? path : `./${path}`)).join(" ")

/** Lines that call a function with paths, some at a time. */
export const calls = (name: string, paths: ReadonlyArray<string>): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (let at = 0; at < paths.length; at += pathsAtOnce)
    lines.push(`${name} ${words(paths.slice(at, at + pathsAtOnce))}`)
  return lines
}

/** Far from the limit of what a program is given as arguments, whatever the names. */
const pathsAtOnce = 200
