/**
 * The program that does in a container what a Dockerfile says: POSIX sh and core utilities, as a base image has them, or those of the tools.
 *
 * **Details**
 *
 * Every container of a build reads `lib`, then runs a script of its own. What one stage takes from another goes through the shared
 * volume: `<id>/<n>/tree` for what is in a directory, `<id>/<n>/file/<name>` for a file, then `<id>.done`. `failed` holds the exit code with
 * which all end.
 */

export interface Directories {
  /** Where the plan's files are. */
  readonly files: string
  /** What the containers of a build hand each other. */
  readonly shared: string
  /** Core utilities, for images that have none. */
  readonly tools: string
}

export const lib = ({ files, shared, tools }: Directories): string => `
__base_path=\${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
PATH=$__base_path
__base_directory=$(pwd)
__base_directory=\${__base_directory%/}
__files=${files}
__shared=${shared}
if [ -x ${tools}/sh ]; then PATH=${tools}:$__base_path; fi
umask 022
trap 'exit 143' TERM INT HUP

# Everybody ends with this code.
give_up() {
  if [ -d "$__shared" ] && [ ! -e "$__shared/failed" ]; then echo "$1" >"$__shared/failed.$$" && mv -f "$__shared/failed.$$" "$__shared/failed"; fi
  exit "$1"
}
say() { printf '%s\\n' "$@"; }
# line, text, what is wrong
refuse() {
  printf "Dockerfile line %s: '%s' %s\\n" "$1" "$2" "$3" >&2
  give_up 1
}
# line, text, image
need_root() {
  if [ "$(id -u)" != 0 ]; then refuse "$1" "$2" "has to be done by root, and the image $3 runs as user $(id -u). Author of the action: say USER root before it. Administrator: let the images' configurations be read (ACTIONS_RUNNER_HOOK_IMAGE_CONFIG=always)."; fi
}
nap() { sleep 0.05 2>/dev/null || sleep 1; }

# Waits for what another container makes.
await() {
  until [ -e "$__shared/$1.done" ]; do
    if [ -e "$__shared/failed" ]; then read -r __code <"$__shared/failed"; exit "\${__code:-1}"; fi
    nap
  done
}

# A user as USER and --chown name it: sets uid, gid, groups, home and name.
look_up() {
  __uid= __gid= __groups= __home= __name=
  __wanted=\${1%%:*} __wanted_group=
  case $1 in *:*) __wanted_group=\${1#*:} ;; esac
  if [ -r /etc/passwd ]; then
    while IFS=: read -r __n _ __u __g _ __h _ || [ -n "$__n" ]; do
      if [ "$__n" = "$__wanted" ] || { [ "$__u" = "$__wanted" ] && [ -z "$__uid" ]; }; then __uid=$__u __gid=$__g __home=$__h __name=$__n; fi
      if [ "$__n" = "$__wanted" ]; then break; fi
    done </etc/passwd
  fi
  if [ -z "$__uid" ]; then
    case $__wanted in '' | *[!0-9]*) return 1 ;; esac
    __uid=$__wanted __gid=0 __home=/
  fi
  if [ -n "$__wanted_group" ]; then
    __gid=
    if [ -r /etc/group ]; then
      while IFS=: read -r __n _ __g _ || [ -n "$__n" ]; do if [ "$__n" = "$__wanted_group" ]; then __gid=$__g; fi; done </etc/group
    fi
    if [ -z "$__gid" ]; then
      case $__wanted_group in *[!0-9]*) return 1 ;; esac
      __gid=$__wanted_group
    fi
  elif [ -n "$__name" ] && [ -r /etc/group ]; then
    while IFS=: read -r __n _ __g __m || [ -n "$__n" ]; do case ",$__m," in *",$__name,"*) __groups=$__groups,$__g ;; esac; done </etc/group
  fi
}

# Becomes a command run by that user; with no user, as we are.
become() {
  __user=$1
  shift
  unset OLDPWD
  if [ -z "$__user" ]; then exec "$@"; fi
  if ! look_up "$__user"; then echo "unable to find user $__user: no matching entries in passwd file" >&2; exit 125; fi
  if [ -z "$__keep_home" ]; then export HOME="$__home"; fi
  if [ "$(id -u)" = "$__uid" ] && [ "$(id -g)" = "$__gid" ]; then exec "$@"; fi
  __here=$(pwd)
  if setpriv --help 2>&1 | grep -q reuid; then
    exec setpriv --reuid "$__uid" --regid "$__gid" --groups "$__gid$__groups" -- "$@"
  elif chroot --help 2>&1 | grep -q userspec; then
    exec chroot --userspec="$__uid:$__gid" --groups="$__gid$__groups" / /bin/sh -c 'cd "$0" && exec "$@"' "$__here" "$@"
  elif command -v chpst >/dev/null 2>&1; then
    exec chpst -u ":$__uid:$__gid" "$@"
  elif command -v su >/dev/null 2>&1; then
    # This su knows names only.
    if [ -z "$__name" ] || [ "\${__user#*:}" != "$__user" ]; then
      __name=user$__uid
      printf '%s:x:%s:%s::%s:/bin/sh\\n' "$__name" "$__uid" "$__gid" "\${__home:-/}" >>/etc/passwd
    fi
    exec su -p -s /bin/sh "$__name" -c 'cd "$0" && exec "$@"' "$__here" "$@"
  fi
  echo "the user cannot be changed to $__user: the image has neither setpriv, chroot nor su" >&2
  exit 125
}

# What a RUN leaves running ends with it, as it does in a build.
reap() { if [ $$ = 1 ]; then kill -KILL -1 2>/dev/null; fi; }

# directory, user, command: in the background, so that a stop is heard at once.
run() {
  __run_directory=$1 __run_user=$2
  shift 2
  ( cd "$__run_directory" || exit 126; become "$__run_user" "$@" ) </dev/null &
  wait $!
  __code=$?
  reap
  return $__code
}

# A directory with those above it: new ones belong to the owner.
make_directory() {
  if [ -d "$1" ]; then return 0; fi
  __first=$1
  while [ ! -e "\${__first%/*}" ] && [ -n "\${__first%/*}" ]; do __first=\${__first%/*}; done
  mkdir -p "$1" && if [ -n "$2" ]; then chown -R "$2" "$__first"; fi
}

__replacing=
if cp --help 2>&1 | grep -q -e --remove-destination; then __replacing=--remove-destination; fi

# staged file, its name, destination, 1 if that is a directory, owner, mode
copy_file() {
  __to=$3
  if [ "$4" = 1 ]; then make_directory "$__to" "$5" || return 1; else make_directory "\${__to%/*}/" "$5" || return 1; fi
  if [ -d "$__to" ]; then __to=\${__to%/}/$2; fi
  if [ -d "$__to" ]; then echo "cannot copy to directory: $__to" >&2; return 1; fi
  rm -f "$__to" && cp -p "$1" "$__to" && chown "$5" "$__to" && if [ -n "$6" ]; then chmod "$6" "$__to"; fi
}

# Copies what is in a directory, the directory itself not.
copy_children() {
  __children_from=$1 __children_to=$2
  set --
  for __child in "$__children_from"/* "$__children_from"/.[!.]* "$__children_from"/..?*; do
    if [ -e "$__child" ] || [ -L "$__child" ]; then set -- "$@" "$__child"; fi
    if [ $# -ge 200 ]; then cp -a $__replacing "$@" "$__children_to/" || return 1; set --; fi
  done
  if [ $# -gt 0 ]; then cp -a $__replacing "$@" "$__children_to/" || return 1; fi
}

# staged directory, destination, owner, list of all that is in it
copy_tree() {
  make_directory "$2" "$3" || return 1
  copy_children "$1" "$2" || return 1
  __tree_to=$2 __tree_owner=$3 __tree_list=$4
  set --
  while IFS= read -r __entry; do
    set -- "$@" "$__tree_to/$__entry"
    if [ $# -ge 200 ]; then chown -h "$__tree_owner" "$@" || return 1; set --; fi
  done <"$__tree_list"
  if [ $# -gt 0 ]; then chown -h "$__tree_owner" "$@" || return 1; fi
}

# Puts something out of this container's file system where another takes it: where to, path
hand_out() {
  if [ -d "$2" ]; then mkdir -p "$1/tree" && copy_children "$2" "$1/tree"
  elif [ -e "$2" ]; then mkdir -p "$1/file" && cp -pL "$2" "$1/file/"
  else echo "'$2' is not in the stage" >&2; return 1; fi
}
# The same for one more match of a pattern: names that sort as they were found.
__found=100000
hand_out_match() { __found=$((__found + 1)); hand_out "$1/$__found" "$2"; }

# What another container has put there: where from, destination, 1 if that is a directory, owner or nothing, mode or nothing
take_over() {
  for __taken in "$1"/*; do
    if [ -d "$__taken/tree" ]; then
      if [ -n "$4" ]; then chown -hR "$4" "$__taken/tree" || return 1; fi
      if [ -n "$5" ]; then chmod -R "$5" "$__taken/tree" || return 1; fi
      make_directory "$2" "\${4:-0:0}" && copy_children "$__taken/tree" "$2" || return 1
    elif [ -d "$__taken/file" ]; then
      for __file in "$__taken/file"/* "$__taken/file"/.[!.]* "$__taken/file"/..?*; do
        if [ ! -e "$__file" ]; then continue; fi
        __to=$2
        if [ "$3" = 1 ]; then make_directory "$__to" "\${4:-0:0}" || return 1; else make_directory "\${__to%/*}/" "\${4:-0:0}" || return 1; fi
        if [ -d "$__to" ]; then __to=\${__to%/}/\${__file##*/}; fi
        rm -f "$__to" && cp -a "$__file" "$__to" || return 1
        if [ -n "$4" ]; then chown "$4" "$__to" || return 1; fi
        if [ -n "$5" ]; then chmod "$5" "$__to" || return 1; fi
      done
    fi
  done
}

# Sets owner to what --chown says. As in BuildKit, a name that is not there is root.
own() {
  __uid=0 __gid=0 __wanted=\${1%%:*} __wanted_group=
  case $1 in *:*) __wanted_group=\${1#*:} ;; esac
  case $__wanted in
    '' | root) ;;
    *[!0-9]*)
      if [ -r /etc/passwd ]; then
        while IFS=: read -r __n _ __u __g _ || [ -n "$__n" ]; do if [ "$__n" = "$__wanted" ]; then __uid=$__u __gid=$__g; break; fi; done </etc/passwd
      fi ;;
    *) __uid=$__wanted __gid=$__wanted ;;
  esac
  case $__wanted_group in
    '') ;;
    root) __gid=0 ;;
    *[!0-9]*)
      if [ -r /etc/group ]; then
        while IFS=: read -r __n _ __g _ || [ -n "$__n" ]; do if [ "$__n" = "$__wanted_group" ]; then __gid=$__g; break; fi; done </etc/group
      fi ;;
    *) __gid=$__wanted_group ;;
  esac
  __owner=$__uid:$__gid
}
`
