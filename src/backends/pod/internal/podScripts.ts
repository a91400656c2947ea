/**
 * The programs that run in the pod: POSIX sh and core utilities only, as every image that can run a script has them.
 *
 * **Details**
 *
 * A step is a directory: `main` (what the step does), `out`, `err`, `pid` (of the step's own session), `wrapper` (pid of the shell that
 * waits for it), `code` (how it ended: the positive token without which nothing counts as an end), `files/`.
 *
 * - `setsid setsid` detaches in the foreground: the first makes a session leader, which the second must leave by a fork, and its parent ends
 *   at once. `&` would not do: a shell without a terminal makes background commands ignore SIGINT for ever.
 * - The wrapper catches the polite signals instead of ignoring them: what is ignored would be ignored by the step too.
 * - `kill -TERM -<group>`, without `--`: dash and busybox take the dashes for a process.
 * - `environ` is searched through `tr`: busybox's grep sees a file only up to its first NUL.
 */

/** A literal word for `sh`, whatever is in it. */
export const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** Where our own things are in the job's container. */
export const stateDirectory = "/__jobscope"

/** Where the shared volume's part of it is, if there is one. */
export const volumeDirectory = `${stateDirectory}/volume`

/** Every process of a step carries it with the step's id: what left the step's session is found by it. */
export const markerVariable = "JOBSCOPE_STEP"

const common = `
own() { if command -v setsid >/dev/null 2>&1; then setsid "$@"; else "$@"; fi; }
detached() { if command -v setsid >/dev/null 2>&1; then setsid setsid "$@"; else "$@" & fi; }
nap() { sleep "$1" 2>/dev/null || sleep 1; }
`

/**
 * `sh run <directory>`: runs `main` in a session of its own and keeps how it ended.
 *
 * Whoever follows the step leaves `follower.<pid>`, and is woken by SIGUSR1 when it is over.
 */
export const run = `${common}
d=$1
trap : HUP INT TERM
if [ -p "$d/alive" ]; then exec 9>"$d/alive"; fi
echo $$ >"$d/wrapper"
if [ -e "$d/merged" ]; then own sh "$d/main" "$d" >>"$d/out" 2>&1 </dev/null 9>&-
else own sh "$d/main" "$d" >>"$d/out" 2>>"$d/err" </dev/null 9>&-; fi
c=$?
if [ -e "$d/refused" ]; then c=refused; fi
echo $c >"$d/code.new" && mv -f "$d/code.new" "$d/code"
for f in "$d"/follower.*; do kill -USR1 "\${f##*.}" 2>/dev/null; done
exit 0
`

/** Functions to find and signal every process of a step: `d` is its directory, `m` its marker. */
const tree = `
members() {
  for e in /proc/[0-9]*/environ; do
    if tr '\\0\\n' '\\n ' <"$e" 2>/dev/null | grep -qx "$m"; then p=\${e#/proc/}; echo "\${p%%/*}"; fi
  done 2>/dev/null
}
leader() { if [ -s "$d/pid" ]; then read -r g <"$d/pid" && echo "$g"; fi; }
send() {
  g=$(leader); t=
  if [ -n "$g" ] && [ ! -e "$d/code" ]; then kill -"$1" "-$g" 2>/dev/null || kill -"$1" "$g" 2>/dev/null; fi
  for p in $(members); do
    s=$(cut -d' ' -f6 "/proc/$p/stat" 2>/dev/null)
    if [ "$s" != "$g" ] || [ "$1" = KILL ]; then kill -"$1" "$p" 2>/dev/null; fi
  done
}
`

/** `sh signal <directory> <marker> <signal without SIG>` */
export const signal = `${tree}
d=$1 m=$2
if [ ! -e "$d/code" ]; then send "$3"; fi
`

/**
 * `sh stop <directory> <marker> <grace in tenths of a second>`: TERM, the grace, KILL; ends when nothing of the step is left, and says its exit code. A step whose
 * launch is still on its way is kept from starting: whoever makes the directory decides.
 */
export const stop = `${common}${tree}
d=$1 m=$2 i=0
if mkdir -p "\${d%/*}" && mkdir "$d" 2>/dev/null; then echo 143 >"$d/code"; fi
while [ ! -s "$d/wrapper" ] && [ ! -e "$d/code" ] && [ $i -lt 50 ]; do i=$((i+1)); nap 0.1; done
i=0
if [ ! -e "$d/code" ]; then
  send TERM
  while [ -n "$(members)" ]; do
    if [ $i -ge "$3" ]; then send KILL; fi
    i=$((i+1)); nap 0.1
    if [ $i -gt $(($3 + 100)) ]; then break; fi
  done
  while [ ! -e "$d/code" ] && [ -e "$d/wrapper" ] && kill -0 "$(cat "$d/wrapper")" 2>/dev/null && [ $i -le $(($3 + 100)) ]; do i=$((i+1)); nap 0.1; done
fi
if [ -e "$d/code" ]; then read -r c <"$d/code" && echo "$c"; fi
if [ -p "$d/stopped" ]; then echo stopped >"$d/stopped"; fi
`

/** Says what the container is, one `name=value` a line. */
export const facts = `
printf 'os=%s\\narch=%s\\n' "$(uname -s)" "$(uname -m)"
l=unknown
for f in /lib/ld-musl-*; do if [ -e "$f" ]; then l=musl; fi; done
for f in /lib/ld-linux* /lib64/ld-linux* /usr/lib/ld-linux* /usr/lib64/ld-linux* /lib/*/ld-linux*; do if [ $l = unknown ] && [ -e "$f" ]; then l=glibc; fi; done
i=$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null | tr -d '"' | head -n 1)
printf 'libc=%s\\nid=%s\\nsetsid=%s\\n' "$l" "$i" "$(command -v setsid)"
`

/**
 * The main process of the job's container: takes requests from the shared volume, if there is one, and reaps what is left to it.
 *
 * Ends at once when told to: as the first process of its container it would else be killed only after the pod's grace.
 */
export const supervisor = `${common}
trap 'exit 143' TERM INT
v=${volumeDirectory}
if [ -p $v/requests ]; then
  { ${facts.trim().replaceAll("\n", "\n  ")}
    echo ready=volume; } >$v/hello &
  exec 3<>$v/requests
  while read -r verb id a b <&3; do
    case $verb in
      start) detached sh $v/run "$v/$id" </dev/null >/dev/null 2>&1 ;;
      stop|signal) detached sh $v/$verb "$v/$id" "$a" "$b" </dev/null >/dev/null 2>&1 ;;
    esac
  done
fi
while :; do sleep 3600 & wait $!; done
`

/**
 * Follows a step from byte offsets of both its streams until it is over, then tells how it ended: the trailer, after the token
 * that nobody else knows. To be wrapped in a function, so that a cut input runs nothing.
 */
export const follow = (options: {
  readonly directory: string
  readonly token: string
  readonly stdout: number
  readonly stderr: number
  readonly merged: boolean
  readonly collect: ReadonlyArray<string>
  /** More of the trailer, in sh; `f <path> <name>` tells a file. */
  readonly returned?: string | undefined
}): string => `
d=${quote(options.directory)}
trap : USR1
: >"$d/follower.$$"
exec 3<"$d/out" 4<"$d/err"
${seek(3, options.stdout)}
${seek(4, options.stderr)}
alive() { read -r _ _ s _ <"/proc/$w/stat" && [ "$s" != Z ]; } 2>/dev/null
pump() { cat <&3 || exit 1; ${options.merged ? "" : "cat <&4 >&2 || exit 1; "}}
i=0
while [ ! -e "$d/code" ]; do
  pump
  if [ -s "$d/wrapper" ]; then
    read -r w <"$d/wrapper"
    if ! alive && [ ! -e "$d/code" ]; then break; fi
  elif [ $i -gt 50 ]; then break; fi
  i=$((i+1))
  if [ $i -lt 10 ]; then n=0.02; elif [ $i -lt 60 ]; then n=0.1; else n=0.2; fi
  if [ ! -e "$d/code" ]; then { sleep $n 2>/dev/null || sleep 1; } & s=$!; wait $s; kill $s 2>/dev/null; fi
done
pump
c=lost
if [ -e "$d/code" ]; then read -r c <"$d/code"; fi
printf '%s exit %s\\n' ${quote(options.token)} "$c"
f() { if [ -f "$1" ]; then z=$(wc -c <"$1"); printf '%s file %d %s\\n' ${quote(options.token)} $z "$2"; head -c $z <"$1"; printf '\\n'; fi; }
if [ -e "$d/refused" ]; then f "$d/refused" .refused; fi
${options.collect.map((name) => `f "$d"/files/${quote(name)} ${quote(name)}`).join("\n")}
${options.returned ?? ""}
printf '%s end\\n' ${quote(options.token)}
rm -f "$d/follower.$$"
`

/** Moves an open file to an offset without reading what is before it. */
const seek = (fd: number, offset: number): string =>
  offset === 0 ? "" : `dd bs=1 skip=${offset} count=0 <&${fd} 2>/dev/null`
