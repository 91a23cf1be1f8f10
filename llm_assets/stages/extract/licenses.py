"""Licences by address or by name → one short identifier, after SPDX (https://spdx.org/licenses/), so that reports can count."""

import re

_COMMONS = re.compile(
    r"creativecommons\.org/(?:licenses/(by(?:-nc)?(?:-nd|-sa)?)|publicdomain/(zero|mark))(?:/(\d\.\d))?(?:/([a-z]{2,3})(?=/|$))?",
    re.IGNORECASE,
)
_COMMONS_NAME = re.compile(
    r"^(?:creative commons |cc[ -])(by(?:[ -]nc)?(?:[ -](?:nd|sa))?)(?:[ -](\d\.\d))?(?:[ -](?:international|unported|intl))?$",
    re.IGNORECASE,
)
_ZERO_NAME = re.compile(r"^cc0(?:[ -]1\.0)?(?: universal)?$", re.IGNORECASE)
_OTHERS = (
    (re.compile(r"opensource\.org/licen[sc]es?/mit\b|^mit(?: licen[sc]e)?$", re.IGNORECASE), "MIT"),
    (re.compile(r"opensource\.org/licen[sc]es?/bsd-3|^bsd-3-clause$", re.IGNORECASE), "BSD-3-Clause"),
    (re.compile(r"opensource\.org/licen[sc]es?/bsd-2|^bsd-2-clause$", re.IGNORECASE), "BSD-2-Clause"),
    (
        re.compile(
            r"apache\.org/licen[sc]es/license-2\.0|^apache-2\.0$|^apache licen[sc]e,? (?:version )?2\.0$", re.IGNORECASE
        ),
        "Apache-2.0",
    ),
    (re.compile(r"gnu\.org/(?:copyleft|licenses)/fdl|gnu\.org/licenses/(?:old-licenses/)?fdl-1\.2", re.IGNORECASE), "GFDL"),
    (re.compile(r"gnu\.org/licenses/(?:old-licenses/)?gpl-2\.0|^gpl-2\.0(?:-only)?$", re.IGNORECASE), "GPL-2.0"),
    (re.compile(r"gnu\.org/licenses/gpl-3\.0|^gpl-3\.0(?:-only)?$", re.IGNORECASE), "GPL-3.0"),
    (re.compile(r"mozilla\.org/(?:en-us/)?mpl/2\.0|^mpl-2\.0$", re.IGNORECASE), "MPL-2.0"),
    (re.compile(r"nationalarchives\.gov\.uk/doc/open-government-licence/version/3", re.IGNORECASE), "OGL-UK-3.0"),
    (re.compile(r"docs\.python\.org/3/license|^psf-2\.0$", re.IGNORECASE), "PSF-2.0"),
    (re.compile(r"opendatacommons\.org/licenses/odbl", re.IGNORECASE), "ODbL-1.0"),
)


def license_id(said: str) -> str:
    """``CC-BY-SA-4.0``, ``CC0-1.0``, ``CC-BY-3.0-DE``, ``MIT`` …; "" for what is not known.

    ``said``: an address (with or without the language of the deed) or a name. A version that isn't named isn't guessed:
    ``CC-BY``.
    """
    found = _COMMONS.search(said)
    if found:
        kind, public, version, port = found.groups()
        if public:
            return f"{'CC0' if public.lower() == 'zero' else 'CC-PDM'}-{version or '1.0'}"
        parts = ["CC", kind.upper(), version or "", (port or "").upper()]
        return "-".join(part for part in parts if part)
    name = " ".join(said.split())
    if _ZERO_NAME.match(name):
        return "CC0-1.0"
    named = _COMMONS_NAME.match(name)
    if named:
        return "-".join(part for part in ("CC", named[1].upper().replace(" ", "-"), named[2] or "") if part)
    return next((short for pattern, short in _OTHERS if pattern.search(name)), "")
