"""What was done under a task so far, as policies over its history need it: kinds of things, never single ones."""

import msgspec

from remit.model.labels import PUBLIC_TRUSTED, Label


class History(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What permitted calls did, or what one call adds to that.

    `used` are the names of tools, of other actions the action's. `effects` are effects, plain and with their reach (`send`,
    `send-external`); what nobody annotated is `unknown`. `groups` are the tool groups called. `sources` are the resources other than
    tools by action and class (`file.read /secret/*`). `touched` joins what each call could touch at worst.
    """

    used: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    touched: Label = PUBLIC_TRUSTED

    def join(self, more: "History") -> "History":
        """The history with one call more; itself where that adds nothing, as most calls do not."""
        # INVARIANT (history only grows): nothing that was done is ever taken back, whatever a call's outcome was.
        used, effects = _merged(self.used, more.used), _merged(self.effects, more.effects)
        groups, sources = _merged(self.groups, more.groups), _merged(self.sources, more.sources)
        touched = self.touched.join(more.touched)
        kinds = used is self.used and effects is self.effects and groups is self.groups and sources is self.sources
        return self if kinds and touched is self.touched else History(used, effects, groups, sources, touched)


def _merged(known: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    for name in more:
        if name not in known:
            return tuple(sorted({*known, *more}))
    return known


NO_HISTORY = History()
