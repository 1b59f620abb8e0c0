"""Small projects of many kinds, each with tests that pass, fail and are skipped."""

from __future__ import annotations

GO = {
    "go.mod": """\
module example.com/shop

go 1.19
""",
    "cart/cart.go": """\
package cart

// Sum adds.
func Sum(a, b int) int { return a - b }
""",
    "cart/cart_test.go": """\
package cart

import "testing"

func TestZero(t *testing.T) {
	if Sum(0, 0) != 0 {
		t.Fatal("zero")
	}
}

func TestSum(t *testing.T) {
	t.Run("small numbers", func(t *testing.T) {
		if got := Sum(1, 2); got != 3 {
			t.Errorf("got %d, want 3", got)
		}
	})
}

func TestLater(t *testing.T) { t.Skip("not yet") }
""",
    "crash/c_test.go": """\
package crash

import "testing"

func TestPanics(t *testing.T) {
	var m map[string]int
	m["a"] = 1
}
""",
    "broken/b_test.go": """\
package broken

import "testing"

func TestX(t *testing.T) { undefined(1) }
""",
}

RUST = {
    "Cargo.toml": """\
[package]
name = "shop"
version = "0.1.0"
edition = "2021"
""",
    "src/lib.rs": """\
/// Adds.
///
/// ```
/// assert_eq!(shop::sum(0, 0), 0);
/// ```
pub fn sum(a: i32, b: i32) -> i32 {
    a - b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero() {
        assert_eq!(sum(0, 0), 0);
    }

    #[test]
    fn adds() {
        assert_eq!(sum(1, 2), 3, "it should add");
    }

    #[test]
    #[ignore = "not yet"]
    fn later() {}

    #[test]
    #[should_panic]
    fn panics() {}
}
""",
}

MAVEN = {
    "pom.xml": """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>acme</groupId><artifactId>shop</artifactId><version>1</version>
  <properties><maven.compiler.source>11</maven.compiler.source><maven.compiler.target>11</maven.compiler.target><project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
  <dependencies><dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>4.x</version><scope>test</scope></dependency></dependencies>
</project>
""",
    "src/main/java/acme/Cart.java": """\
package acme;

public class Cart {
    public static int sum(int a, int b) {
        return a - b;
    }
}
""",
    "src/test/java/acme/CartTest.java": """\
package acme;

import static org.junit.Assert.assertEquals;

import org.junit.Ignore;
import org.junit.Test;

public class CartTest {
    @Test
    public void zero() {
        assertEquals(0, Cart.sum(0, 0));
    }

    @Test
    public void adds() {
        assertEquals("it should add", 3, Cart.sum(1, 2));
    }

    @Ignore("not yet")
    @Test
    public void later() {}
}
""",
    ".mvn/maven.config": """\
-o
-Dmaven.repo.local=/usr/share/maven-repo
""",
}

CMAKE = {
    "CMakeLists.txt": """\
cmake_minimum_required(VERSION 3.13)
project(shop C)
enable_testing()
add_executable(zero zero.c)
add_executable(adds adds.c)
add_test(NAME zero COMMAND zero)
add_test(NAME adds COMMAND adds)
add_test(NAME missing COMMAND not-there)
""",
    "zero.c": """\
int main(void) { return 0; }
""",
    "adds.c": """\
#include <assert.h>

int main(void) {
    assert(1 - 2 == 3);
    return 0;
}
""",
}

PHP = {
    "phpunit.xml": """\
<?xml version="1.0"?>
<phpunit><testsuites><testsuite name="all"><directory>tests</directory></testsuite></testsuites></phpunit>
""",
    "src/Cart.php": """\
<?php
function sum(int $a, int $b): int { return $a - $b; }
""",
    "tests/CartTest.php": """\
<?php
require_once __DIR__ . '/../src/Cart.php';

use PHPUnit\\Framework\\TestCase;

final class CartTest extends TestCase
{
    public function testZero(): void
    {
        $this->assertSame(0, sum(0, 0));
    }

    /** @dataProvider numbers */
    public function testSum(int $a, int $b): void
    {
        $this->assertSame($a + $b, sum($a, $b));
    }

    public static function numbers(): array
    {
        return ['small' => [1, 2], 'none' => [3, 0]];
    }

    public function testLater(): void
    {
        $this->markTestSkipped('not yet');
    }

    public function testBreaks(): void
    {
        throw new RuntimeException('boom');
    }
}
""",
}

RUBY = {
    ".rspec": """\
--require spec_helper
""",
    "spec/spec_helper.rb": """\
def sum(a, b)
  a - b
end
""",
    "spec/cart_spec.rb": """\
RSpec.describe "cart" do
  it "knows zero" do
    expect(sum(0, 0)).to eq(0)
  end

  it "adds" do
    expect(sum(1, 2)).to eq(3)
  end

  xit "is for later" do
  end
end
""",
}

MINITEST = {
    "Rakefile": """\
require "rake/testtask"

Rake::TestTask.new(:test) do |t|
  t.pattern = "test/**/*_test.rb"
end
""",
    "lib/cart.rb": """\
def sum(a, b)
  a - b
end
""",
    "test/cart_test.rb": """\
require "minitest/autorun"
require "cart"

class CartTest < Minitest::Test
  def test_zero
    assert_equal 0, sum(0, 0)
  end

  def test_adds
    assert_equal 3, sum(1, 2), "<\u0007 is not it"
  end

  def test_breaks
    raise ArgumentError, "no such cart"
  end

  def test_later
    skip "not yet"
  end
end

describe "a cart" do
  it "can't be / empty" do
    _(sum(0, 1)).must_equal 1
  end
end
""",
}

UNITTEST = {
    "test_cart.py": """\
import unittest


class Cart(unittest.TestCase):
    def test_zero(self):
        self.assertEqual(0 - 0, 0)

    def test_adds(self):
        \"\"\"It adds.\"\"\"
        self.assertEqual(1 - 2, 3, "should add")

    def test_breaks(self):
        raise RuntimeError("boom")

    @unittest.skip("not yet")
    def test_later(self):
        pass

    @unittest.expectedFailure
    def test_known(self):
        self.fail()

    def test_sub(self):
        for i in (1, 2):
            with self.subTest(i=i):
                self.assertEqual(i, 1)
""",
}

JEST = {
    "cart.test.js": """\
const sum = (a, b) => a - b;

describe('cart', () => {
  test('knows zero', () => {
    expect(sum(0, 0)).toBe(0);
  });
  test('adds', () => {
    expect(sum(1, 2)).toBe(3);
  });
  test.skip('is for later', () => {});
  test.todo('more');
});
""",
    "package.json": """\
{"scripts": {"test": "jest"}}
""",
}

VITEST = {
    "cart.test.js": """\
import { describe, expect, test } from 'vitest';

const sum = (a, b) => a - b;

describe('cart', () => {
  test('knows zero', () => {
    expect(sum(0, 0)).toBe(0);
  });
  test('adds', () => {
    expect(sum(1, 2)).toBe(3);
  });
  test.skip('is for later', () => {});
});
""",
    "package.json": """\
{"scripts": {"test": "vitest"}, "type": "module"}
""",
}

MOCHA = {
    "test/cart.js": """\
const assert = require('assert');
const sum = (a, b) => a - b;

describe('cart', () => {
  it('knows zero', () => assert.strictEqual(sum(0, 0), 0));
  it('adds', () => {
    assert.strictEqual(sum(1, 2), 3);
  });
  it.skip('is for later', () => {});
});
""",
    "package.json": """\
{"scripts": {"test": "mocha"}}
""",
}

CART_THAT_ADDS = MAVEN["src/main/java/acme/Cart.java"].replace("a - b", "a + b")

BATS = {
    "lib/cart.sh": """\
sum() { echo $(($1 - $2)); }
""",
    "test/test_helper.bash": """\
. lib/cart.sh

is() {
    [ "$1" = "$2" ]
}
""",
    "test/cart.bats": """\
load test_helper

@test "zero" {
    [ "$(sum 0 0)" -eq 0 ]
}

@test "adds (1 + 2)" {
    is "$(sum 1 2)" 3
}

@test "later" {
    skip "not yet"
}
""",
    "plugins/tax/test/tax.bats": """\
@test "tax" {
    run false
    echo "at other.rb:3"
    [ "$status" -eq 0 ]
}
""",
    "test/test_helper/bats-assert/test/a.bats": """\
@test "a library's own" { false; }
""",
}

# Its scripts are started by `sh`, so that they need not be executable.
AUTOMAKE = {
    "configure.ac": """\
AC_INIT([shop],[1])
AM_INIT_AUTOMAKE([foreign])
AC_CONFIG_FILES([Makefile])
AC_OUTPUT
""",
    "Makefile.am": """\
TEST_EXTENSIONS = .sh
SH_LOG_COMPILER = sh
TESTS = tests/zero.sh tests/adds.sh tests/later.sh tests/known.sh tests/breaks.sh
XFAIL_TESTS = tests/known.sh
""",
    "tests/zero.sh": "exit 0\n",
    "tests/adds.sh": """\
sum=$((1 - 2))
if [ "$sum" -ne 3 ]; then
  # Where it stands, as a compiler would say it.
  echo "tests/adds.sh:4: got $sum, want 3"
  exit 1
fi
""",
    "tests/later.sh": "exit 77\n",
    "tests/known.sh": "exit 1\n",
    "tests/breaks.sh": "exit 99\n",
}

# The repository is Debian's.
GRADLE = {path: text for path, text in MAVEN.items() if path.startswith("src/")} | {
    "build.gradle": """\
apply plugin: 'java'
repositories { maven { url 'file:///usr/share/maven-repo' } }
dependencies { testCompile 'junit:junit:4.x' }
"""
}
