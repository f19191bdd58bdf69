"""Makes the tokens of this folder: python3 make.py, with PyJWT and cryptography installed.

The private keys are drawn anew and kept nowhere.
"""
import base64
import hashlib
import json
import pathlib

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

here = pathlib.Path(__file__).parent
keys = {
    "eddsa": ("EdDSA", ed25519.Ed25519PrivateKey.generate(), ["crv", "kty", "x"]),
    "es256": ("ES256", ec.generate_private_key(ec.SECP256R1()), ["crv", "kty", "x", "y"]),
    "rs256": ("RS256", rsa.generate_private_key(65537, 2048), ["e", "kty", "n"]),
}
for name, (algorithm, key, required) in keys.items():
    public = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key()))
    public = {k: v for k, v in public.items() if k in required}
    text = json.dumps(public, sort_keys=True, separators=(",", ":"))
    kid = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    claims = {
        "iss": "https://id.acme.example", "aud": ["cku", "another"], "sub": "rhea@acme.example", "kind": "user",
        "tenant": "acme/payments", "iat": 1795175400, "nbf": 1795175400.5, "exp": 1795179000, "jti": name,
    }
    (here / f"{name}.jwk.json").write_text(json.dumps({**public, "kid": kid}, indent=1) + "\n")
    (here / f"{name}.jwt").write_text(jwt.encode(claims, key, algorithm, headers={"kid": kid}) + "\n")
