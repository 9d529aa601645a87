# shellcheck shell=bash
# Assertions for tests in bash. To be sourced.

checks_passed=0
checks_failed=0

# check TEXT COMMAND...: one assertion: the command succeeds. What it printed is shown if it does not.
check() {
	local text=$1 output begun=$SECONDS
	shift
	if output=$("$@" 2>&1); then
		checks_passed=$((checks_passed + 1))
		local took=$((SECONDS - begun))
		((took < 5)) && took= || took=" ($took s)"
		printf 'ok    %s%s\n' "$text" "$took"
	else
		checks_failed=$((checks_failed + 1))
		printf 'FAIL  %s\n' "$text"
		printf '        %s\n' "$*"
		if [[ -n $output ]]; then tail -n 20 <<<"$output" | sed 's/^/        /'; fi
	fi
}

# eventually SECONDS COMMAND...: repeats the command until it succeeds or the time is over; prints the last output in that case.
eventually() {
	local deadline=$((SECONDS + $1)) output
	shift
	until output=$("$@" 2>&1); do
		if ((SECONDS >= deadline)); then
			printf '%s\n' "$output"
			return 1
		fi
		sleep 0.3
	done
}

# equal WANTED COMMAND...: the command prints exactly this.
equal() {
	local wanted=$1 got
	shift
	got=$("$@") || return
	[[ $got == "$wanted" ]] || {
		printf 'wanted: %s\ngot:    %s\n' "$wanted" "$got"
		return 1
	}
}

# near WANTED TOLERANCE COMMAND...: the command prints a number this close.
near() {
	local wanted=$1 tolerance=$2 got
	shift 2
	got=$("$@") || return
	awk -v wanted="$wanted" -v tolerance="$tolerance" -v got="$got" 'BEGIN {
		difference = got - wanted
		if (got == "" || difference > tolerance || difference < -tolerance) { print "wanted: " wanted " ± " tolerance "\ngot:    " got; exit 1 }
	}'
}

not() { ! "$@"; }

# Prints the closing line; its status is that of the whole.
checks_close() {
	printf '%d passed, %d failed\n' "$checks_passed" "$checks_failed"
	((checks_failed == 0))
}
