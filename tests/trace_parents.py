"""Values of the header `traceparent`, as W3C Trace Context has them, and as it has them not."""

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
USUAL = f"00-{TRACE}-{SPAN}-01"
"""Version 00, recorded by its caller."""

LATER = [
    f"01-{TRACE}-{SPAN}-01",
    f"fe-{TRACE}-{SPAN}-01",
    f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
    f"cc-{TRACE}-{SPAN}-01-",
    f"cc-{TRACE}-{SPAN}-01-\xe4",
]
"""Of versions that are not known yet, which may go on behind the flags."""

MALFORMED = {
    "empty": "",
    "a word": "none",
    "version ff": f"ff-{TRACE}-{SPAN}-01",
    "a version of one digit": f"0-{TRACE}-{SPAN}-01",
    "a version that is no number": f"0g-{TRACE}-{SPAN}-01",
    "more behind version 00": USUAL + "-extra",
    "a hyphen behind version 00": USUAL + "-",
    "more digits behind version 00": USUAL + "1",
    "more digits behind a later version": f"cc-{TRACE}-{SPAN}-012",
    "a dot behind a later version": f"cc-{TRACE}-{SPAN}-01.what",
    "a trace of zeros": f"00-{'0' * 32}-{SPAN}-01",
    "a span of zeros": f"00-{TRACE}-{'0' * 16}-01",
    "capitals": USUAL.upper(),
    "one capital": f"00-{TRACE[:-1]}A-{SPAN}-01",
    "a trace that is short": f"00-{TRACE[1:]}-{SPAN}-01",
    "a trace that is long": f"00-{TRACE}0-{SPAN}-01",
    "a span that is short": f"00-{TRACE}-{SPAN[1:]}-01",
    "no flags": f"00-{TRACE}-{SPAN}",
    "empty flags": f"00-{TRACE}-{SPAN}-",
    "flags of one digit": f"00-{TRACE}-{SPAN}-1",
    "flags that are no number": f"00-{TRACE}-{SPAN}-0x",
    "underscores": USUAL.replace("-", "_"),
    "a line break": USUAL + "\n",
    "a space before": " " + USUAL,
    "other digits": f"00-{TRACE[:-1]}\xb2-{SPAN}-01",
    "two in one": f"{USUAL},{USUAL}",
}
