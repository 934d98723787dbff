"""How an upstream verifies X-Identity-Assertion: pip install "pyjwt[crypto]"."""
import jwt

TYPE = "bff-identity+jwt"


def create_verifier(jwks_url, issuer, audience):
    keys = jwt.PyJWKClient(jwks_url)  # asks again at an unknown kid

    def verify(assertion):
        """Who is asking; raises jwt.PyJWTError where the assertion is not good, which is a 401."""
        if jwt.get_unverified_header(assertion).get("typ") != TYPE:
            raise jwt.InvalidTokenError("not an identity assertion")
        key = keys.get_signing_key_from_jwt(assertion)
        return jwt.decode(
            assertion,
            key,
            algorithms=["ES256"],
            issuer=issuer,
            audience=audience,
            leeway=5,
            options={"require": ["sub", "exp", "iat", "idp_iss"]},
        )

    return verify
