#!/usr/bin/env python3
"""Recomputes the entries that `cku journal show --format json` writes, with the standard library alone."""
import hashlib, json, math, sys
sha = lambda *parts: hashlib.sha256(b"".join(parts)).digest()


def number(value):
    """ECMAScript's Number::toString, which RFC 8785 asks for."""
    if isinstance(value, int):
        return str(value)
    if value == 0 or not math.isfinite(value):
        return "0"
    sign, digits = ("-", -value) if value < 0 else ("", value)
    mantissa, exponent = f"{digits!r}e0".split("e")[:2]
    whole, _, part = mantissa.partition(".")
    part = "" if part == "0" else part
    shown = (whole + part).lstrip("0")
    point = len(whole) + int(exponent) - len(whole + part) + len(shown)
    shown = shown.rstrip("0")
    if len(shown) <= point <= 21:
        return sign + shown + "0" * (point - len(shown))
    if 0 < point <= 21:
        return sign + shown[:point] + "." + shown[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + shown
    power = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return sign + shown[0] + ("." + shown[1:] if len(shown) > 1 else "") + power


def canonical(value):
    """RFC 8785: members sorted by UTF-16 units, no white space, numbers in one spelling."""
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return "{" + ",".join(canonical(k) + ":" + canonical(v) for k, v in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    number_like = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number(value) if number_like else json.dumps(value, ensure_ascii=False)


def check(header, body, salt, hash, heads):
    digest, name = lambda raw: "sha256:" + raw.hex(), f"entry {header['seq']} of {header['tenant']}"
    if body is not None and digest(sha(bytes.fromhex(salt), canonical(body).encode())) != header["body_hash"]:
        sys.exit(print(f"{name}: its body is not what was hashed") or 1)
    whole, _, part = header["time"].rstrip("Z").partition(".")
    time = whole + "." + part.ljust(6, "0")  # as texts, times compare when they have the same length
    first = (0, digest(sha(b"cku/genesis/v1", header["tenant"].encode())), "")
    seq, prev, before = heads.get(header["tenant"], first)
    if (int(header["seq"]), header["prev"]) != (seq + 1, prev) or time < before:
        sys.exit(print(f"{name}: it does not follow the entry before") or 1)
    if digest(sha(b"cku/entry/v1", sha(canonical(header).encode()))) != hash:
        sys.exit(print(f"{name}: its header is not what was hashed") or 1)
    heads[header["tenant"]] = (seq + 1, hash, time)


len(sys.argv) == 2 or sys.exit(print("usage: verify.py FILE, of `cku journal show --format json`", file=sys.stderr) or 2)
try:
    with open(sys.argv[1], encoding="utf-8") as file:
        heads, entries = {}, [(e["header"], e["body"], e["salt"], e["hash"]) for e in map(json.loads, file)]
except (OSError, ValueError, TypeError, KeyError) as error:
    why = getattr(error, "strerror", "it holds no entries, one JSON object a line")
    sys.exit(print(f"{sys.argv[1]} cannot be read: {why}", file=sys.stderr) or 2)
try:
    [check(*entry, heads) for entry in entries]
except (ValueError, TypeError, KeyError, AttributeError):
    line = sum(seq for seq, *_ in heads.values()) + 1
    sys.exit(print(f"line {line}: it is not written as entries are") or 1)
gone = sum(body is None for _, body, _, _ in entries)
erased = f"; of {gone} the body was erased, so that what it said is not known" if gone else ""
print(f"{len(entries)} entries of {len(heads)} tenants are intact{erased}")
