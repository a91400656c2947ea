/**
 * The programs that run in the pod: POSIX sh and core utilities only, as every image that can run a script has them.
 *
 * **Details**
 *
 * A step is a directory: `main` (what the step does), `out`, `err`, `pid` (of the step's own session), `wrapper` (pid of the shell that
 * waits for it), `code` (how it ended: the positive token without which nothing, an empty file included, counts as an end), `files/`.
 *
 * - `o` and `e`, if they are there, are the FIFOs through which the step's output gets into `out` and `err`.
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
detached() { if command -v setsid >/dev/null 2>&1; then setsid setsid "$@"; else "$@" & fi; }
nap() { sleep "$1" 2>/dev/null || sleep 1; }
`

/**
 * `born <pid>` sets `born` to when it was started, by which it is told from another one with its pid; to nothing if it is gone. `size <file>`
 * sets `size`, by name, because busybox's wc reads all of a file. Variables, because a substitution is a process.
 */
const lookups = `
born() { born=; { read -r born <"/proc/$1/stat"; } 2>/dev/null || return 0; set -- \${born##*") "}; if [ "$1" = Z ]; then born=; else born=\${20}; fi; }
size() { set -- $(ls -ln "$1" 2>/dev/null); size=\${5:-0}; }
`

/**
 * `sh run <directory>`: runs `main` in a session of its own and keeps how it ended.
 *
 * - Its output goes through FIFOs into the files, where there are FIFOs: a script that says `echo >/dev/stderr` would empty a file.
 * - Redirected in a shell of its own, which becomes the step: else dash and busybox would say into it that a signal has ended it.
 * - The exit code is there when its file is not empty: one write. Room for it is taken before, for a step that fills the disk.
 * - The kernel may kill a single process for memory instead of the container: that is noted in `oom`.
 * - The readers of the FIFOs end with the last writer, mostly the step itself: they are waited for, which costs no more than they take. What
 *   the step leaves behind and still writes gets a moment: a `tee` is often among it. It is not waited for for ever.
 * - Whoever follows the step leaves `follower.<pid>`, and is woken by SIGUSR1 when it is over.
 */
export const run = `${common}${lookups}
d=$1 o= e=
trap : HUP INT TERM USR1
if [ -p "$d/alive" ]; then exec 9>"$d/alive"; fi
born $$; echo "$$ $born" >"$d/wrapper"
echo "        " >"$d/code.new"
out=$d/out err=$d/err
killed() { n=; for f in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do if [ -r "$f" ]; then while read -r k v; do if [ "$k" = oom_kill ]; then n=$v; fi; done <"$f"; fi; done; }
killed; m=$n
if [ -p "$d/o" ]; then cat <"$d/o" >>"$out" 9>&- & o=$! out=$d/o; fi
own=; if command -v setsid >/dev/null 2>&1; then own=setsid; fi
if [ -e "$d/merged" ]; then (exec $own sh "$d/main" "$d" >>"$out" 2>&1 </dev/null 9>&-)
else
  if [ -p "$d/e" ]; then cat <"$d/e" >>"$err" 9>&- & e=$! err=$d/e; fi
  (exec $own sh "$d/main" "$d" >>"$out" 2>>"$err" </dev/null 9>&-)
fi
c=$?
if [ -e "$d/refused" ]; then c=refused; fi
killed
if [ "$n" != "$m" ]; then : >"$d/oom"; fi
open() { [ -e "/proc/$o/fd/0" ] || [ -e "/proc/$e/fd/0" ]; }
moment() { { nap 0.05; kill -USR1 $$; } 9>&- & t=$!; wait $o $e; kill $t 2>/dev/null; }
i=0 n=0 s=
while [ $i -lt 20 ] && open; do i=$((i+1)); done
i=0
while [ $i -lt 5 ] && [ $n -lt 100 ] && open; do
  n=$((n+1)); moment
  if ! open; then break; fi
  size "$d/out"; t=$size; size "$d/err"; t="$t $size"
  if [ "$t" != "$s" ]; then s=$t i=0; else i=$((i+1)); fi
done
{ echo $c >"$d/code"; } 2>/dev/null || { echo $c 1<>"$d/code.new" && mv -f "$d/code.new" "$d/code"; }
for f in "$d"/follower.*; do
  if { read -r s <"$f"; } 2>/dev/null; then born "\${f##*.}"; if [ "$born" = "$s" ]; then kill -USR1 "\${f##*.}" 2>/dev/null; fi; fi
done
exit 0
`

/**
 * `clock` sets `now`, in tenths of a second: turns of a loop are no measure on a busy machine. Where there is no such file, each look counts as one.
 */
const clock = `
now=0
clock() { if { read -r t _ </proc/uptime; } 2>/dev/null; then f=\${t#*.}; now=$((\${t%.*}*10+\${f%?})); else now=$((now+1)); fi; }
`

/**
 * Functions to find and signal every process of a step: `d` is its directory, `m` its marker. What is older than the step is none of it, and to look closer
 * takes two processes each.
 */
const tree = `
members() {
  since=0
  if [ -s "$d/wrapper" ]; then read -r _ since <"$d/wrapper"; fi
  for e in /proc/[0-9]*/environ; do
    p=\${e#/proc/}; born "\${p%%/*}"
    if [ "\${born:-0}" -lt "\${since:-0}" ]; then continue; fi
    if tr '\\0\\n' '\\n ' <"$e" 2>/dev/null | grep -qx "$m"; then echo "\${p%%/*}"; fi
  done 2>/dev/null
}
leader() { if [ -s "$d/pid" ]; then read -r g <"$d/pid" && echo "$g"; fi; }
send() {
  g=$(leader); t=
  if [ -n "$g" ] && [ ! -s "$d/code" ]; then kill -"$1" "-$g" 2>/dev/null || kill -"$1" "$g" 2>/dev/null; fi
  for p in $(members); do
    s=$(cut -d' ' -f6 "/proc/$p/stat" 2>/dev/null)
    if [ "$s" != "$g" ] || [ "$1" = KILL ]; then kill -"$1" "$p" 2>/dev/null; fi
  done
}
`

/** `sh signal <directory> <marker> <signal without SIG>` */
export const signal = `${lookups}${tree}
d=$1 m=$2
if [ ! -s "$d/code" ]; then send "$3"; fi
`

/**
 * `sh stop <directory> <marker> <grace in tenths of a second>`: TERM, the grace, KILL; ends when nothing of the step is left, and says its exit code. A step whose
 * launch is still on its way is kept from starting: whoever makes the directory decides.
 */
export const stop = `${common}${lookups}${clock}${tree}
d=$1 m=$2 w=
if mkdir -p "\${d%/*}" && mkdir "$d" 2>/dev/null; then echo 143 >"$d/code"; fi
clock; end=$((now+50))
while [ ! -s "$d/wrapper" ] && [ ! -s "$d/code" ] && [ $now -lt $end ]; do nap 0.1; clock; done
if [ ! -s "$d/code" ]; then
  send TERM
  clock; kill=$((now+$3)) end=$((now+$3+100))
  while [ -n "$(members)" ]; do
    clock
    if [ $now -ge $kill ]; then send KILL; fi
    if [ $now -ge $end ]; then break; fi
    nap 0.1
  done
  if [ -s "$d/wrapper" ]; then read -r w b <"$d/wrapper"; fi
  while [ ! -s "$d/code" ] && [ -n "$w" ] && { born "$w"; [ "$born" = "$b" ]; } && [ $now -lt $end ]; do nap 0.1; clock; done
fi
if [ -s "$d/code" ]; then read -r c <"$d/code" && echo "$c"; fi
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
 *
 * - Whoever followed before has lost its connection: it would wait for output that nobody takes.
 * - Output is passed on in parts, and at the end as much as there is then: something of the step may write for ever.
 * - stderr has its own beginning and end between such tokens: the two streams overtake each other on their way, and what comes last may not come.
 * - Each process that the shell starts takes a ms: what a test of the shell's own can tell starts none.
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
  /** The step has just been launched: that it has started is told first. */
  readonly launched?: boolean | undefined
}): string => `${lookups}
d=${quote(options.directory)}
begun=${options.launched === true ? "" : "1"}
begin() { if [ -z "$begun" ] && [ -e "$d/pid" ]; then begun=1; printf '%s started\\n' ${quote(options.token)}; ${options.merged ? "" : `printf '%s started\\n' ${quote(options.token)} >&2; `}fi; }
me="$d/follower.$$"
trap : USR1
trap 'rm -f "$me"' EXIT
trap 'exit 1' PIPE
for o in "$d"/follower.*; do
  if { read -r s <"$o"; } 2>/dev/null; then born "\${o##*.}"; if [ "$born" = "$s" ]; then kill "\${o##*.}" 2>/dev/null; fi; fi
  if [ -e "$o" ]; then rm -f "$o"; fi
done
born $$; echo "$born" >"$me"
exec 3<"$d/out" 4<"$d/err"
${seek(3, options.stdout)}
${seek(4, options.stderr)}
alive() { born "$w"; [ "$born" = "$wb" ]; }
at() { p=0; { read -r _ p <"/proc/$$/fdinfo/$1"; } 2>/dev/null; }
some() { at "$1"; o=$p; dd bs=65536 count=256 <&"$1" 2>/dev/null || exit 1; at "$1"; if [ $((p-o)) -ge 16777216 ]; then more=1; fi; }
pump() { begin; if [ -z "$begun" ]; then return; fi; if [ -s "$d/out" ]; then some 3; fi; ${options.merged ? "" : `if [ -s "$d/err" ]; then some 4 >&2; fi; `}}
rest() {
  more=; if [ -s "$2" ]; then some "$1"; fi
  if [ -z "$more" ]; then return; fi
  size "$2"; at "$1"; if [ "$p" -lt "$size" ]; then dd bs=65536 count=$(((size-p+65535)/65536)) <&"$1" 2>/dev/null || exit 1; fi
}
i=0
while [ ! -s "$d/code" ]; do
  more=; pump
  if [ -n "$more" ]; then continue; fi
  if [ -s "$d/wrapper" ]; then
    read -r w wb <"$d/wrapper"
    if ! alive && [ ! -s "$d/code" ]; then break; fi
  elif [ $i -gt 50 ]; then break; fi
  i=$((i+1))
  if [ $i -lt 10 ]; then n=0.02; elif [ $i -lt 60 ]; then n=0.1; else n=0.2; fi
  if [ ! -s "$d/code" ]; then { sleep $n 2>/dev/null || sleep 1; } & s=$!; wait $s; kill $s 2>/dev/null; fi
done
begin
rest 3 "$d/out"
${options.merged ? "" : 'rest 4 "$d/err" >&2'}
c=lost
if [ -s "$d/code" ]; then read -r c <"$d/code"; fi
printf '%s exit %s\\n' ${quote(options.token)} "$c"
${options.merged ? "" : `printf '%s exit %s\\n%s end\\n' ${quote(options.token)} "$c" ${quote(options.token)} >&2`}
f() {
  if [ -f "$1" ] && [ ! -s "$1" ]; then printf '%s file 0 %s\\n\\n' ${quote(options.token)} "$2"
  elif [ -f "$1" ] && [ -r "$1" ]; then
    size "$1"; z=$size; printf '%s file %d %s\\n' ${quote(options.token)} "$z" "$2"
    { head -c "$z" <"$1"; head -c "$z" /dev/zero; } 2>/dev/null | head -c "$z"; printf '\\n'
  fi
}
for g in refused oom; do if [ -e "$d/$g" ]; then f "$d/$g" ".$g"; fi; done
${options.collect.map((name) => `f "$d"/files/${quote(name)} ${quote(name)}`).join("\n")}
${options.returned ?? ""}
printf '%s end\\n' ${quote(options.token)}
`

/** Moves an open file to an offset without reading what is before it. */
const seek = (fd: number, offset: number): string =>
  offset === 0 ? "" : `dd bs=1 skip=${offset} count=0 <&${fd} 2>/dev/null`
