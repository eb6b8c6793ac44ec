"""Reads a flame graph as py-spy draws it: how long each function ran itself.

The picture is all there is to read: py-spy writes one format a recording, and a second recording
would be of other requests. Source of its layout: https://github.com/jonhoo/inferno
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

SVG, FLAME = "{http://www.w3.org/2000/svg}", "{http://github.com/jonhoo/inferno}"
TITLE = re.compile(r"(?P<function>.+?) \((?P<place>.+?)(:\d+)?\) \([\d,]+ samples?, .+\)")


class ProfileError(RuntimeError):
    """There is no flame graph."""


def own_times(flame_graph: Path) -> Counter[str]:
    """Count samples by the function that ran, which is the lowest box of each.

    Raises:
        ProfileError: Nothing ran.
    """
    root = ElementTree.parse(flame_graph).getroot()
    frames = root.find(f"{SVG}svg[@id='frames']")
    if frames is None:
        raise ProfileError("nothing ran: without a load there is little to see; see --idle")
    running = [""] * int(frames.attrib["total_samples"])
    boxes = [(box.find(f"{SVG}rect"), box.findtext(f"{SVG}title", "")) for box in frames]
    drawn = [(box.attrib, title) for box, title in boxes if box is not None]
    for box, title in sorted(drawn, key=lambda pair: float(pair[0]["y"])):  # from the top down
        begin, width = int(box[f"{FLAME}x"]), int(box[f"{FLAME}w"])
        running[begin : begin + width] = [_name(title)] * width
    return Counter(running)


def _name(title: str) -> str:
    """Return function and file without the line; what has no name is told by its library."""
    found = TITLE.fullmatch(title)
    if found is None:
        return title.rpartition(" (")[0]  # a thread
    function = "unnamed" if found["function"].startswith("0x") else found["function"]
    return f"{function} ({found['place']})"
