#!/bin/sh
# SPDX-License-Identifier: ISC
# The kept corpus of every fuzz target through the target, in this build.
passed=0 failed=0
corpus=${POSTWARD_SRC:?}/tests/fuzz/corpus
for folder in "$corpus"/*/; do
	name=$(basename "$folder")
	program=${POSTWARD_BUILD:?}/tests/fuzz/replay-$name
	if out=$("$program" "$folder" 2>&1); then
		n=$(echo "$out" | sed -n 's/^replay: \([0-9]*\) passed.*/\1/p' | tail -n 1)
		passed=$((passed + ${n:-0}))
	else
		failed=$((failed + 1))
		echo "FAIL corpus of $name"
		echo "$out" | tail -n 30
	fi
done
echo "corpus: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
