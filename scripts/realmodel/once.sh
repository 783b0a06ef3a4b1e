# Functions of run.sh and gemma.sh.

say() { echo "realmodel: $*" >&2; }

# once NAME COMMAND… runs the command with the path of a part, which gets its name when the command is done.
once() {
	name=$1
	shift
	if [ -e "$name" ]; then
		say "$name is there"
		return
	fi
	say "making $name"
	rm -rf "$name.part"
	"$@" "$name.part"
	mv "$name.part" "$name"
}
