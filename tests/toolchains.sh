#!/usr/bin/env bash
# The toolchains whose real runs are tested: of Debian, as far as they are missing and whoever calls this may install
# them. Where they cannot be installed, the tests that need them skip and say so.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null || missing+=("${@:2}"); }

need go golang-go
need cppcheck cppcheck
need clang-format clang-format
need cc gcc libc6-dev
need cmake cmake
need make make
need bats bats
need automake automake
need autoreconf autoconf
need phpunit phpunit
need rspec ruby-rspec
need rake rake
need bundle ruby-bundler
need tox tox
need nox nox
need javac default-jdk-headless
need mvn maven
[ -d /usr/share/maven-repo/org/apache/maven/plugins/maven-surefire-plugin ] || \
  missing+=(libsurefire-java libmaven-compiler-plugin-java libmaven-resources-plugin-java junit4)

[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "not installed, so that some tests will be skipped: ${missing[*]}"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=120 update &&
  apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "${missing[@]}" >/dev/null ||
  echo "could not be installed, so that some tests will be skipped: ${missing[*]}"
