#!/usr/bin/env python3
"""Draws an OTrP exchange as a sequence diagram.

    docs/draw-otrp.py > docs/otrp.svg
"""

import html

WIDTH, ROW = 960, 34
APP, BROKER, TEE, TAM = 80, 255, 475, 880
GREEN, BLUE, GREY, INK = "#0b6e4f", "#1b4e9b", "#777", "#222"
# A title, or: from, to, what is sent, what is in it or done with it.
STEPS = [
    "An app needs a TA",
    (APP, BROKER, "request", "which TA"),
    (BROKER, TAM, "POST without body", "Accept: application/otrp+json"),
    "Who are you, and in what state?",
    (TAM, TEE, "GetDeviceStateRequest", "tid, certificates, OCSP responses"),
    (TEE, BROKER, "part", "DSI, encrypted to the TAM"),
    (BROKER, TAM, "GetDeviceStateResponse", "one part for each TEE: domains, TAs, Evidence, epoch"),
    "One command at a time, each for the state told last",
    (TAM, TEE, "CreateSDRequest", "dsihash; encrypted: domain, certificate"),
    (TEE, TAM, "CreateSDResponse", "encrypted: the provider's AIKs, next DSI"),
    (TAM, TEE, "InstallTARequest", "dsihash; SUIT envelope for the AIK"),
    (TEE, TAM, "InstallTAResponse", "encrypted: next DSI"),
    (TAM, APP, "204, or the AIKs", "signed by the TAM"),
    "What is it that I talk to?",
    (APP, TEE, "TAQuery", "provider, TA, nonce"),
    (TEE, APP, "TAInformation", "whose it is, signed with the AIK"),
]


def colour_of(x):
    return BLUE if x == TAM else GREEN if x == TEE else GREY


def main():
    height = 80 + sum(ROW + (8 if isinstance(step, str) else 0) for step in STEPS) + 20
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="system-ui, sans-serif" font-size="12.5">',
        "<title>Messages of an OTrP exchange</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="context-stroke"/></marker></defs>',
    ]
    for x, name, below in (
        (APP, "App", "trusts its TAM"),
        (BROKER, "Broker", "carries bytes"),
        (TEE, "Agent in the TEE", "domains, AIKs"),
        (TAM, "TAM", "plans"),
    ):
        colour = colour_of(x)
        out.append(f'<rect x="{x - 65}" y="12" width="130" height="42" rx="6" fill="{colour}"/>')
        out.append(f'<text x="{x}" y="30" fill="white" text-anchor="middle" font-weight="600">{name}</text>')
        out.append(f'<text x="{x}" y="46" fill="white" text-anchor="middle" font-size="11">{below}</text>')
        out.append(f'<line x1="{x}" y1="54" x2="{x}" y2="{height - 10}" stroke="{colour}" stroke-dasharray="3 4"/>')
    y = 80
    for step in STEPS:
        if isinstance(step, str):
            y += 8
            out.append(f'<rect x="8" y="{y - 16}" width="{WIDTH - 16}" height="22" rx="4" fill="#f1f3f5"/>')
            out.append(f'<text x="18" y="{y}" fill="{INK}" font-weight="600">{html.escape(step)}</text>')
        else:
            start, end, name, carries = step
            colour = colour_of(start)
            tip = end - 4 if end > start else end + 4
            out.append(
                f'<line x1="{start}" y1="{y}" x2="{tip}" y2="{y}" stroke="{colour}" stroke-width="1.6"'
                ' marker-end="url(#tip)"/>'
            )
            anchor = f'x="{(start + end) // 2}" y="{y - 5}" text-anchor="middle"'
            out.append(
                f'<text {anchor} fill="{colour}" stroke="white" stroke-width="4" paint-order="stroke">'
                f'<tspan font-weight="600">{html.escape(name)}</tspan>: {html.escape(carries)}</text>'
            )
        y += ROW
    out.append("</svg>")
    print("\n".join(out))


main()
