"""predict_startup with some arguments varied: one row a launch, and what moved between them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.answer import TermReport
from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.contract.vary import VariedLaunch, VariedRequest, VariedResponse
from vllm_preflight.models.config_files import parse_json_object
from vllm_preflight.questions.check import predict_startup

Progress = Callable[[str], None]

MOST_LAUNCHES = 32
# Smaller differences are rounding, and more of them than these tell nobody anything.
_LEAST_MOVED_GIB = 0.05
_MOST_MOVED = 4
_HINT = 'Write: {"kv_cache_dtype": ["auto", "fp8"], "vllm_version": ["0.19.0", "0.33.0"]}.'


def predict_varied(
    request: VariedRequest, *, whole: bool = True, progress: Progress | None = None
) -> VariedResponse:
    """The launch as it is asked for, and one row for each combination of the varied values.

    `whole` says every term behind the figures, too.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence; also of a varied one.
    """
    names = request.model_fields_set & StartupRequest.model_fields.keys()
    given = request.model_dump(include=names, exclude_none=True)
    launch = validate_request(StartupRequest, given)
    answer = predict_startup(launch, whole=whole, progress=progress)
    rows: list[VariedLaunch] | None = None
    if request.vary is not None:
        rows = []
        first: Mapping[str, TermReport] | None = None
        for values in _combinations(request.vary):
            check_stop()
            changed = validate_request(StartupRequest, {**given, **values})
            predicted = predict_startup(changed)
            terms = {term.name: term for term in predicted.startup.terms or []}
            first = first or terms
            rows.append(_row(values, predicted, _moved(first, terms)))
    return VariedResponse(**dict(answer), launches=rows)


def _combinations(text: str) -> Iterator[dict[str, Any]]:
    varied = parse_json_object(text.encode(), "vary", _HINT)
    lists: list[Sequence[Any]] = []
    for name, values in varied.items():
        if not isinstance(values, list) or not values:
            raise InvalidRequest(f"vary names no list of values for {name}.", _HINT)
        lists.append(cast(list[Any], values))
    if not lists:
        raise InvalidRequest("vary names no argument.", _HINT)
    count = math.prod(map(len, lists))
    if count > MOST_LAUNCHES:
        raise InvalidRequest(
            f"vary asks for {count:,} launches; one answer has at most {MOST_LAUNCHES}.",
            "Give fewer values, or ask more than once.",
        )
    for combination in itertools.product(*lists):
        yield dict(zip(varied, combination, strict=True))


def _row(values: dict[str, Any], predicted: StartupResponse, moved: Sequence[str]) -> VariedLaunch:
    verdict, startup = predicted.verdict, predicted.startup
    return VariedLaunch(
        values=values,
        outcome=verdict.outcome,
        start_probability=verdict.start_probability,
        because=None if verdict.good else verdict.sentence,
        available_kv_cache_gib=startup.available_kv_cache_gib,
        kv_cache_tokens=startup.kv_cache_tokens,
        max_concurrency=startup.max_concurrency,
        max_model_len=startup.max_model_len,
        moved=list(moved),
    )


def _moved(first: Mapping[str, TermReport], terms: Mapping[str, TermReport]) -> list[str]:
    """The figures of memory that differ most from the first launch's, largest first."""
    differences: list[tuple[float, str]] = []
    for name in dict.fromkeys([*first, *terms]):
        before, now = first.get(name), terms.get(name)
        old, new = _gib(before), _gib(now)
        rule = now or before
        if rule is None or abs(new - old) < _LEAST_MOVED_GIB:
            continue
        was = "" if now else "was "
        text = f"{name} {old:.2f} → {new:.2f} GiB: {was}{rule.formula} ({rule.source})"
        differences.append((abs(new - old), text))
    ordered = sorted(differences, key=lambda item: -item[0])
    return [text for _, text in ordered[:_MOST_MOVED]]


def _gib(term: TermReport | None) -> float:
    return 0.0 if term is None or term.gib is None else term.gib
