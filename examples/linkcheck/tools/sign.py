"""Signs a file with the key in SIGNING_KEY: writes FILE.sig beside it, or checks it with --verify."""

import hashlib
import hmac
import os
import sys
from pathlib import Path


def signature(file, key):
    return hmac.new(key.encode(), file.read_bytes(), hashlib.sha256).hexdigest()


def main(arguments):
    verify = arguments[:1] == ["--verify"]
    names = arguments[1:] if verify else arguments
    key = os.environ.get("SIGNING_KEY", "")
    if len(names) != 1 or not key:
        print("usage: SIGNING_KEY=... sign.py [--verify] FILE", file=sys.stderr)
        return 2
    file = Path(names[0])
    beside = file.with_name(file.name + ".sig")
    if not verify:
        beside.write_text(signature(file, key) + "\n")
        print(f"signed {file}")
        return 0
    good = hmac.compare_digest(beside.read_text().strip(), signature(file, key))
    print(f"{file}: the signature is {'good' if good else 'NOT good'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
