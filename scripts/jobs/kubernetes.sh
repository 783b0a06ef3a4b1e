#!/bin/sh
# Validates kubernetes.yaml against the schemas that Kubernetes publishes; fields that the schema does not have are errors. It then
# damages the manifest, and the validator must refuse it: this shows that the schema of a Job is applied.
#
#   scripts/jobs/kubernetes.sh
#
# JOBS_PYTHON  a Python with requirements.txt installed (default: created by scripts/venv.sh)
set -eu
cd "$(dirname "$0")/../.."
python=$(scripts/venv.sh jobs)
manifest=scripts/jobs/kubernetes.yaml
validate() { "$(dirname "$python")/kubernetes-validate" --kubernetes-version "$1" --strict "$2"; }
damaged=$(mktemp)
trap 'rm -f "$damaged"' EXIT
# The oldest release that has backoffLimitPerIndex switched on by default, and the newest one.
for version in 1.29.0 1.37.0; do
	validate "$version" "$manifest"
	for edit in 's/completions: 8/completion: 8/' 's/value: "8"/value: 8/' 's/backoffLimitPerIndex: 6/backoffLimitPerIndex: six/' 's/restartPolicy/restartPolicies/'; do
		sed "$edit" "$manifest" >"$damaged"
		if cmp -s "$damaged" "$manifest" || validate "$version" "$damaged" >/dev/null 2>&1; then
			echo "$0: the schema of Kubernetes $version accepts the manifest after $edit" >&2
			exit 1
		fi
	done
done
echo "four damaged manifests are refused"
