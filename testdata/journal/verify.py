#!/usr/bin/env python3
"""Recomputes the entries of a journal from what `cku journal show --format json` writes.

Only the standard library, and nothing of cku: the format is small enough to check by hand.
"""
import hashlib
import json
import math
import sys

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
    point = len(whole) + int(exponent)
    shown = (whole + part).lstrip("0")
    point -= len(whole + part) - len(shown)
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
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value, ensure_ascii=False)


def check(entry, heads):
    header, tenant = entry["header"], entry["header"]["tenant"]
    name = f"entry {header['seq']} of {tenant}"
    digest = lambda raw: "sha256:" + raw.hex()
    if entry["body"] is not None:
        body = sha(bytes.fromhex(entry["salt"]), canonical(entry["body"]).encode())
        if digest(body) != header["body_hash"]:
            return f"{name}: its body is not what was hashed"
    seq, prev, time = heads.get(tenant, (0, digest(sha(b"cku/genesis/v1", tenant.encode())), ""))
    if (int(header["seq"]), header["prev"]) != (seq + 1, prev) or header["time"] < time:
        return f"{name}: it does not follow the entry before"
    if digest(sha(b"cku/entry/v1", sha(canonical(header).encode()))) != entry["hash"]:
        return f"{name}: its header is not what was hashed"
    heads[tenant] = (seq + 1, entry["hash"], header["time"])


if __name__ == "__main__":
    heads, count = {}, 0
    for line in open(sys.argv[1], encoding="utf-8"):
        problem, count = check(json.loads(line), heads), count + 1
        if problem:
            sys.exit(print(problem) or 1)
    print(f"{count} entries of {len(heads)} tenants are intact")
