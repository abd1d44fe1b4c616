#!/usr/bin/env bash
# Real Korean data to collections with training pairs and mined negatives: legal-cite, legal-prec, legal-holding, wiki-ko, easylaw, and synonyms.
#
#   scripts/prepare_all.sh SOURCE OUT
#
# SOURCE holds legal/{statutes,precedents,lexdpr}.tar.zst, legal/easylaw.jsonl.zst, wiki/ and terms/ko_en.jsonl.zst (docs/data/README.md says what is in them).
# Two cores take some 21 minutes: the collections of case law 4, the negatives 12, the checks 3.
# Run twice, the files are the same byte for byte.
set -euo pipefail

if [ $# -ne 2 ]; then
    sed -n '2,8p' "$0" | sed 's/^# \{0,1\}//' >&2
    exit 2
fi
source_folder=$1
out=$2
here="$(cd "$(dirname "$0")/.." && pwd)"
PATH="$here/.venv/bin:$PATH"
command -v sparse-ko >/dev/null || { echo "sparse-ko is not installed; in $here: make setup" >&2; exit 1; }
workers=$(getconf _NPROCESSORS_ONLN)

step() {
    echo "== $*" >&2
    local begin=$SECONDS status=0
    "$@" || status=$?
    echo "   $((SECONDS - begin)) s" >&2
    return $status
}

# Exit code 1 of a reader may mean that some of its files were left out, and said so. What counts is that the collection is there, and new.
reading() {
    local target=$1
    shift
    step "$@" || [ $? -eq 1 ]
    [ "$target" -nt "$begun" ] || { echo "$target was not written." >&2; exit 1; }
}

mkdir -p "$out"
begun=$(mktemp)
trap 'rm -f "$begun"' EXIT
reading "$out/legal-cite/collection.json" \
    sparse-ko data precedents --source "$source_folder/legal/precedents.tar.zst" --statutes "$source_folder/legal/statutes.tar.zst" \
    --dates "$source_folder/legal/lexdpr.tar.zst" --out "$out"
reading "$out/easylaw/collection.json" \
    sparse-ko data easylaw --source "$source_folder/legal/easylaw.jsonl.zst" --out "$out/easylaw" --articles "$out/legal-cite"
reading "$out/wiki-ko/collection.json" sparse-ko data wiki --source "$source_folder/wiki/pages.jsonl.zst" --queries "$source_folder/wiki" --out "$out/wiki-ko"
reading "$out/synonyms/synonyms.jsonl" sparse-ko data synonyms build --source "$source_folder/terms/ko_en.jsonl.zst" --out "$out/synonyms"

# Bigrams: as good as morphemes on law, a little worse on Wikipedia, and they cost a fortieth (docs/data/negatives.md).
mine() { step sparse-ko data mine "$out/$1" --tokenization bigram --workers "$workers" "${@:2}"; }
mine legal-cite --split train --split case-train --split article-train --split easylaw
mine legal-prec
mine legal-holding
mine easylaw
mine wiki-ko

for collection in legal-cite legal-prec legal-holding easylaw wiki-ko; do
    step sparse-ko data check "$out/$collection"
done
step sparse-ko data synonyms check "$out/synonyms"
