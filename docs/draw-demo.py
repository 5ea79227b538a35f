#!/usr/bin/env python3
"""Draws the messages of a kept demo as a sequence diagram.

    tamarack demo --keep DIR && docs/draw-demo.py DIR > docs/demo.svg
"""

import html
import json
import pathlib
import sys

# The steps that tell the story; the others are variations of them.
STEPS = {
    "request-install": "An app asks for its TA, and gets it",
    "attested": "Fresh Evidence shows it",
    "policy-update": "The device fetches version 2",
    "refuse-downgrade": "Stolen TAM key: back to version 1",
    "refuse-rogue-tam": "A TAM that the device does not know",
}
NAMES = {
    "query-request": "QueryRequest",
    "query-response": "QueryResponse",
    "update": "Update",
    "success": "Success",
    "error": "Error",
}
CARRIES = {
    "query-request": "challenge, signed per cipher suite",
    "query-response": "encrypted Evidence, tc-list, agent nonce",
    "update": "SUIT manifests, agent nonce echoed",
    "success": "signed SUIT reports",
    "error": "code, signed SUIT report",
}
WIDTH, LEFT, RIGHT, ROW = 860, 150, 710, 30
TEE, TAM, BAD, LINE = "#0b6e4f", "#1b4e9b", "#b3261e", "#888"


def escape(text):
    return html.escape(str(text), quote=True)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    summary = json.loads((folder / "SUMMARY.json").read_text())
    rows = []
    for step, title in STEPS.items():
        messages = [m for m in summary["messages"] if m["step"] == step and m["device"] == "a"]
        if step == "request-install":
            messages = messages[:4]  # The second TA goes the same way.
        rows.append(("title", step, title))
        rows += [("message", m, (folder / m["file"]).stat().st_size) for m in messages]
    height = 90 + sum(ROW + (14 if row[0] == "title" else 0) for row in rows) + 20

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="system-ui, sans-serif" font-size="13">',
        "<title>TEEP messages of a demo run</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="context-stroke"/></marker></defs>',
    ]
    for x, name, colour, below in (
        (LEFT, "Agent in the TEE", TEE, "device a"),
        ((LEFT + RIGHT) // 2, "Broker", LINE, "carries bytes"),
        (RIGHT, "TAM", TAM, "server"),
    ):
        out.append(f'<rect x="{x - 70}" y="14" width="140" height="42" rx="6" fill="{colour}"/>')
        out.append(f'<text x="{x}" y="32" fill="white" text-anchor="middle" font-weight="600">{name}</text>')
        out.append(f'<text x="{x}" y="48" fill="white" text-anchor="middle" font-size="11">{below}</text>')
        out.append(f'<line x1="{x}" y1="56" x2="{x}" y2="{height - 10}" stroke="{colour}" stroke-dasharray="3 4"/>')
    y = 76
    for row in rows:
        if row[0] == "title":
            y += 14
            colour = BAD if row[1].startswith("refuse") else "#222"
            label = f"{row[1]}: {row[2]}"
            out.append(f'<rect x="8" y="{y - 16}" width="{WIDTH - 16}" height="22" rx="4" fill="#f1f3f5"/>')
            out.append(f'<text x="18" y="{y}" fill="{colour}" font-weight="600">{escape(label)}</text>')
        else:
            message, size = row[1], row[2]
            kind, down = message["type"], message["direction"] == "to-device"
            forged = message["author"] not in ("tam", "device")
            bad = forged or kind == "error"
            x1, x2 = (RIGHT, LEFT + 4) if down else (LEFT, RIGHT - 4)
            colour = BAD if bad else (TAM if down else TEE)
            out.append(
                f'<line x1="{x1}" y1="{y}" x2="{x2}" y2="{y}" stroke="{colour}" stroke-width="1.6" marker-end="url(#tip)"/>'
            )
            who = f" (by {message['author']})" if forged else ""
            carries = "code only, signed with a throwaway key" if row[1]["step"] == "refuse-rogue-tam" and not down else CARRIES[kind]
            text = f"{NAMES[kind]}{who}: {carries}, {size:,} bytes"
            middle = (LEFT + RIGHT) // 2
            out.append(
                f'<text x="{middle}" y="{y - 5}" text-anchor="middle" fill="{colour}" stroke="white" stroke-width="4"'
                f' paint-order="stroke">{escape(text)}</text>'
            )
        y += ROW
    out.append("</svg>")
    print("\n".join(out))


main()
