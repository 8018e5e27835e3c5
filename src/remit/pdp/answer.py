"""What an engine said of one request, and what several say together."""

from collections.abc import Mapping

import msgspec

Annotations = Mapping[str, Mapping[str, str]]
"""What policies say of themselves, by their ids."""


class EngineAnswer(msgspec.Struct, frozen=True, gc=False):
    """An engine's bare decision, the policies that determined it, and what erred.

    `reasons`, `errors` and `error_policies` are sorted; the latter are the policies behind `errors`, and an error of the engine itself
    has none. `annotations` are those of the reasons, where policies bring them along with each answer, and `silenced` those of permits that
    a forbid beat.
    A caller must treat any error as a denial: engines pass over what errs, even a forbid.
    """

    allowed: bool
    reasons: tuple[str, ...]
    errors: tuple[str, ...]
    error_policies: tuple[str, ...] = ()
    annotations: Annotations = {}
    silenced: Annotations = {}


def together(one: EngineAnswer, other: EngineAnswer) -> EngineAnswer:
    """What two engines say that were asked the same: whatever either forbids is denied, whatever either permits else allowed.

    An id that both name is an error, for nobody could tell whose it is.
    """
    errors = (*one.errors, *other.errors)
    twice = sorted(set(one.reasons) & set(other.reasons))
    errors += tuple(f"policy id `{name}` is used in two languages: give one of them another" for name in twice)
    said = [answer for answer in (one, other) if answer.reasons]
    forbidding = [answer for answer in said if not answer.allowed]
    deciding = forbidding or said
    return EngineAnswer(
        bool(deciding) and not forbidding,
        tuple(sorted({name for answer in deciding for name in answer.reasons})),
        tuple(sorted(errors)),
        tuple(sorted((*one.error_policies, *other.error_policies))),
        {**one.annotations, **other.annotations},
        {**one.silenced, **other.silenced},
    )
