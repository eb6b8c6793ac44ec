# Sourced by the scripts beside it: what must be there before anything runs.
#
# .venv holds the packages of requirements.lock and the project itself; ops/stack adds those of
# ops/requirements.lock, ops/bench those of bench/requirements.lock, ops/test those of
# tests/requirements.lock, and OTEL_EXPORTER_OTLP_ENDPOINT those of ops/otel. A start that finds all of it in place starts neither Python nor pip.
# What is in .venv is told by small files there:
#   place                  the folder and the Python it was made for; if not these: make it anew
#   unfinished             pip was interrupted, so what it left cannot be trusted: make it anew
#   runtime, otel, stack, bench, tests  the digest of what was installed; if another: install

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
PATH=$PATH:/usr/sbin # where Debian puts nginx, and who is not root does not look
oldest_minor=11 # Python 3.11: requires-python in pyproject.toml

say() { printf 'ops/%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
  say "$@"
  exit 1
}

# apt_install WHY PACKAGE...: installs system packages where it may, else says which are missing.
apt_install() {
  local why=$1
  shift
  if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    die "$why. Install it first; on Debian and Ubuntu: sudo apt-get install $*"
  fi
  say "$why; installing it: apt-get install $*"
  # Installed to be run by ops/stack, not to be started by the system, on the same ports.
  local policy=/usr/sbin/policy-rc.d status=0
  [[ ! -e $policy ]] || policy=''
  [[ ! $policy ]] || printf '#!/bin/sh\nexit 101\n' | install -m 755 /dev/stdin "$policy"
  { apt-get -qq update &&
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "$@"; } >/dev/null ||
    status=1
  [[ ! $policy ]] || rm -f "$policy"
  ((status == 0)) || die "apt-get could not install $*"
}

# need_programs WHO PROGRAM:PACKAGE...: installs the Debian packages of programs that are missing.
need_programs() {
  local who=$1 program missing=() packages=()
  shift
  for program; do
    command -v "${program%:*}" >/dev/null && continue
    missing+=("${program%:*}") packages+=("${program#*:}")
  done
  ((${#missing[@]} == 0)) || apt_install "$who ${missing[*]}" "${packages[@]}"
}

# What ops/stack runs, and the Debian package that brings it.
stack_programs=(nginx:nginx redis-server:redis-server prometheus:prometheus
  prometheus-nginx-exporter:prometheus-nginx-exporter setpriv:util-linux pkill:procps)

# find_python: sets `python` to the newest that is new enough; one that can make a venv goes first.
find_python() {
  local name minor package
  python=''
  for name in python3.13 python3.12 python3.11 python3; do
    # Run, not looked up: a version manager's shim is there even where its Python is not.
    minor=$("$name" -c 'import sys; print(sys.version_info[1])' 2>/dev/null) || continue
    ((minor >= oldest_minor)) || continue
    if "$name" -c 'import ensurepip, venv' 2>/dev/null; then
      python=$name
      return
    fi
    [[ $python ]] || python=$name package=python3.$minor-venv
  done
  [[ $python ]] ||
    die "Python 3.$oldest_minor or newer is needed, but found: $(python3 --version 2>/dev/null || echo none)"
  apt_install "$python cannot make a virtual environment" "$package"
}

place() { echo "$root $(readlink -f "$venv/bin/python")"; }

digest() { cat "$@" | { sha256sum || shasum -a 256; } 2>/dev/null; } # the latter on macOS

# holds FILE TEXT: whether the file is there and holds just this text.
holds() { [[ -f $1 && $(<"$1") == "$2" ]]; }

make_venv() {
  if [[ ! -e $venv/unfinished ]] && holds "$venv/place" "$(place)"; then
    return
  fi
  find_python
  say "making .venv with $("$python" --version)"
  if [[ -L $venv ]]; then
    rm "$venv" # and nothing in it: it may lead to another work tree's
  else
    rm -f "$venv/place" # first, so that an interruption here is seen too
    rm -rf "$venv"
  fi
  "$python" -m venv "$venv"
  place >"$venv/place"
}

pip_install() {
  touch "$venv/unfinished"
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps "$@" >&2 ||
    die "pip could not install it (see above)"
  rm "$venv/unfinished"
}

install_lock() {
  say "installing ${1#"$root"/} (the first time only)"
  pip_install --require-hashes -r "$1"
}

install_runtime() {
  local lock=$root/requirements.lock wanted
  wanted=$(digest "$lock" "$root/pyproject.toml")
  make_venv
  holds "$venv/runtime" "$wanted" && return
  install_lock "$lock"
  pip_install --no-build-isolation --editable "$root"
  echo "$wanted" >"$venv/runtime"
}

# install_more NAME LOCK AFTER: the packages of a lock, unless they are there on top of what AFTER is.
install_more() {
  local name=$1 lock=$root/$2 wanted
  wanted=$(digest "$lock" "$venv/$3")
  holds "$venv/$name" "$wanted" && return
  install_lock "$lock"
  echo "$wanted" >"$venv/$name"
}

# install_otel: what app/ml_pipeline/observe/tracing.py imports.
install_otel() { install_more otel ops/otel/requirements.lock runtime; }

# install_otel_if_asked: the same where traces are asked for; else it would be 9 MB for nobody.
install_otel_if_asked() { [[ ! ${OTEL_EXPORTER_OTLP_ENDPOINT-} ]] || install_otel; }

install_stack() {
  install_runtime
  install_more stack ops/requirements.lock runtime
}

install_bench() {
  install_stack
  install_more bench bench/requirements.lock stack
  install_peers
}

# [after=WHAT] install_apart NAME LOCK [OPTIONS]: the packages of a lock in a folder that only who names it looks into:
# Litestar imports pydantic where it finds it, 9 MB that no user of ours has.
install_apart() {
  local folder=$venv/$1 lock=$root/$2 wanted
  wanted=$(digest "$lock" "$venv/${after:-bench}")
  holds "$folder/.installed" "$wanted" && return
  rm -rf "$folder"
  say "installing ${lock#"$root"/} (the first time only)"
  pip_install --require-hashes --target "$folder" "${@:3}" -r "$lock"
  echo "$wanted" >"$folder/.installed"
}

# install_peers: what python -m bench compare sets beside ours.
install_peers() { install_apart peers bench/peers/requirements.lock; }

# install_supply: ops/sbom and ops/audit.
install_supply() {
  install_runtime
  after=runtime install_apart supply ops/supply/requirements.lock
}

install_tests() {
  install_bench
  install_otel
  install_supply
  install_more tests tests/requirements.lock bench
  install_apart kserve tests/oip/kserve/requirements.lock
  install_apart mlserver tests/oip/mlserver/requirements.lock
  install_apart schemathesis tests/web/schemathesis/requirements.lock
  install_apart models tests/oip/models/requirements.lock --no-deps
  install_apart families tests/families/requirements.lock --no-deps
}

# ui_digest: of what decides which files ops/vendor makes.
ui_digest() { digest "$root"/ui/package{,-lock}.json "$root/ops/vendor"; }

# install_ui: what the pages load, in ui/vendor.
install_ui() {
  holds "$root/ui/vendor/.installed" "$(ui_digest)" && return
  say "installing ui/package-lock.json (the first time only)"
  "$root/ops/vendor" "$root/ui/vendor"
}

# install_ui_tests: what checks ui/, in .venv/ui/node_modules.
install_ui_tests() {
  holds "$venv/ui/.installed" "$(ui_digest)" || "$root/ops/vendor" --tools "$venv/ui"
}

# one_at_a_time COMMAND: two starts at once must not install into one .venv.
one_at_a_time() {
  {
    ! command -v flock >/dev/null || flock 9 # not on macOS
    "$@"
  } 9<"$root/requirements.lock"
}
