"""Keys and tokens: what must never be learned, found by the shapes that their issuers publish.

Sources: the key formats in the documentation of AWS (IAM identifiers: prefix and 16 base-32 characters), GitHub ("Behind
GitHub's new authentication token formats", 2021), GitLab, Slack, Stripe, Google, npm, PyPI, Hugging Face, OpenAI and Anthropic;
RFC 7519 (JWT) and RFC 7468 (PEM). A value that is assigned to something called a key counts if it looks drawn at random: both
letters and digits, and at least 3.5 bits a character, between the 3.0 for hexadecimal and the 4.5 for base 64 that are usual in
secret scanners.
"""

import base64
import json
import math
import re
from collections import Counter

_ISSUED = (
    r"(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA)[A-Z2-7]{16}",
    r"gh[opusr]_[A-Za-z0-9]{36,251}",
    r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
    r"gl(?:pat|dt|rt|cbt|ptt)-[A-Za-z0-9_-]{20,64}",
    r"xox[abeoprs]-(?:\d-)?[A-Za-z0-9-]{10,250}",
    r"xapp-\d-[A-Z0-9]{8,}-\d+-[0-9a-f]{32,}",
    r"hooks\.slack\.com/services/T[A-Z0-9]{7,}/B[A-Z0-9]{7,}/[A-Za-z0-9]{20,}",
    r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,247}",
    r"whsec_[A-Za-z0-9+/]{24,}={0,2}",
    r"AIza[A-Za-z0-9_-]{35}",
    r"GOCSPX-[A-Za-z0-9_-]{28}",
    r"ya29\.[A-Za-z0-9_-]{30,}",
    r"sk-(?:ant-(?:api|admin)\d\d-|proj-|svcacct-)[A-Za-z0-9_-]{40,}",
    r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
    r"hf_[A-Za-z]{34}",
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}",
    r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    r"dop_v1_[0-9a-f]{64}",
    r"dckr_pat_[A-Za-z0-9_-]{27}",
    r"dapi[0-9a-f]{32}",
    r"gsk_[A-Za-z0-9]{52}",
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",
    r"hvs\.[A-Za-z0-9_-]{24,}",
    r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}",
    r"NRAK-[A-Z0-9]{27}",
    r"sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43}",
    r"lin_api_[A-Za-z0-9]{40}",
    r"\d{8,10}:AA[A-Za-z0-9_-]{33}",
)
_JWT = r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{10,}"
_PEM = (
    r"-----BEGIN (?P<pem>(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?)-----"
    # To its end, or, where that is missing, as far as lines of base 64 go.
    r"(?:(?P<body>(?:[^-]|-(?!----)){0,20000})-----END (?P=pem)-----|(?:(?:\s|\\[nr])*[A-Za-z0-9+/=]{40,})+)"
)
_NAMED = (
    r"(?:api|access|auth|client|secret|private|encryption|signing|account|app|master|service)"
    r"(?:[_ -]?access)?[_ -]?(?:key|token|secret)(?:[_ -]?id)?"
    r"|bearer"
)
_ASSIGNED = (
    rf"(?:{_NAMED})[\"'”]?\s{{0,3}}(?:=>|:=|=|:|\s)\s{{0,3}}(?:bearer\s+)?[\"'“]?"
    r"(?P<value>[A-Za-z0-9_+/.~-]{16,512}={0,2})"
)
_PASSWORD = r"(?:password|passwd|pwd)[\"'”]?\s{0,3}(?:=>|:=|=|:)\s{0,3}[\"'“]?(?P<chosen>[^\s\"'”;,<>&(){}\[\]$]{8,128})"
_CREDENTIALS = r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,64}:(?P<password>[^\s/:@${}<>]{6,128})@(?=[A-Za-z0-9.-]+)"

PATTERN = re.compile(
    rf"(?P<issued>(?<![A-Za-z0-9_])(?:{'|'.join(_ISSUED)})(?![A-Za-z0-9_]))|(?P<jwt>(?<![A-Za-z0-9_.-]){_JWT})|{_PEM}"
    rf"|(?i:{_ASSIGNED})|(?i:{_PASSWORD})|{_CREDENTIALS}"
)
# A text without this can't match, and nearly all texts are without it.
HINT = re.compile(
    r"AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA|gh[opusr]_|github_pat|gl(?:pat|dt|rt|cbt|ptt)-|xox|xapp-|slack\.com/s"
    r"|k_(?:live|test)_|whsec_|AIza|GOCSPX|ya29|sk-|hf_|npm_|pypi-A|SG\.|dop_v1|dckr_pat|dapi|gsk_|shp(?:at|ca|pa|ss)_|hvs\."
    r"|glsa_|NRAK-|sq0|lin_api|:AA|eyJ|-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY|://[^\s/:@]+:[^\s/:@]+@"
    r"|(?i:password|passwd|pwd)[\"'”]?\s{0,3}(?:=|:)"
    r"|(?i:key|token|secret|bearer)(?i:[_ -]?id)?[\"'”]?\s{0,3}(?:[=:]|\s[\"'“]?[A-Za-z0-9_+/.~-]{16})"
)
REACH = 64  # characters from the beginning of a match to its hint, at most: the longest name of a key, then "bearer"
_PARTS = ("value", "chosen", "password")  # groups that are replaced alone, what is around them stays
_MIN_BITS = 3.5
_ISSUED_ALONE = re.compile("|".join(_ISSUED))
_SHOWN = re.compile(
    r"my_?pass|your|example|sample|placeholder|changeme|redacted|dummy|removed|x{4,}|\*{3,}|1234567|abcdef|\.\.\.",
    re.IGNORECASE,
)


def part(match: re.Match[str]) -> tuple[int, int] | None:
    """What of a match of ``PATTERN`` has to go: issued shapes do; the rest has to look drawn at random, or like a password."""
    found = match.groupdict()
    if found["jwt"]:
        holds = _is_jwt(found["jwt"])
    elif found["value"] is not None:
        holds = _is_random(found["value"])
    elif found["chosen"] is not None:
        holds = _is_random(found["chosen"]) or _is_chosen(found["chosen"])
    elif found["password"] is not None:
        holds = not _SHOWN.search(found["password"]) and found["password"].lower() not in ("password", "passwd", "secret")
    elif found["body"] is not None:
        holds = re.search(r"[A-Za-z0-9+/]{24}", found["body"]) is not None  # else a text about keys
    else:
        holds = True
    name = next((name for name in _PARTS if found[name] is not None), 0)
    return match.span(name) if holds else None


def _is_chosen(value: str) -> bool:
    """Three of the four sorts of characters that password rules ask for (small, capital, digit, mark)."""
    sorts = (r"[a-z]", r"[A-Z]", r"\d", r"[^\w./-]")
    return sum(re.search(sort, value) is not None for sort in sorts) >= 3 and not _SHOWN.search(value)


def _is_jwt(token: str) -> bool:
    head = token.split(".")[0]
    try:
        told = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except ValueError:
        return False
    return isinstance(told, dict) and "alg" in told


def _is_random(value: str) -> bool:
    plain = value.rstrip("=")
    if _ISSUED_ALONE.fullmatch(plain):
        return True
    if _SHOWN.search(plain) or not re.search(r"\d", plain) or not re.search(r"[A-Za-z]", plain):
        return False
    counts = Counter(plain)
    bits = -sum(n / len(plain) * math.log2(n / len(plain)) for n in counts.values())
    hexadecimal = re.fullmatch(r"[0-9a-fA-F]{32,}", plain) is not None
    # Words joined by marks (a file name, a dotted path) are no keys: most runs between marks would be words.
    runs = [run for run in re.split(r"[_/.~+-]", plain) if run]
    worded = len(runs) > 1 and sum(
        run.isalpha() and (run.islower() or run.istitle() or run.isupper()) for run in runs
    ) * 2 > len(runs)
    return (bits >= _MIN_BITS or (hexadecimal and bits >= 3.0)) and not worded
