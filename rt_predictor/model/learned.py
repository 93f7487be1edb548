"""The learned constants of the assembly, to and from their document."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from rt_predictor.errors import BundleError
from rt_predictor.features.assemble import Assembler, Range
from rt_predictor.features.categories import Category
from rt_predictor.features.declared import CATEGORY_FIELDS, FIRST_KNOWN_CODE, INPUTS, STATISTICS
from rt_predictor.history.offsets import OffsetState
from rt_predictor.model.documents import (
    CalibrationDocument,
    CategoryDocument,
    EnsembleConfig,
    FeaturesDocument,
    RangeDocument,
    ReferenceDocument,
    WatchedColumnDocument,
)
from rt_predictor.model.ports import input_sizes, output_sizes
from rt_predictor.model.reference import NO_REFERENCE, Reference, WatchedColumn


def category_document(category: Category) -> CategoryDocument:
    """A category as it is written; NaN becomes null."""
    return CategoryDocument(
        field=category.field,
        names=category.names,
        salt=category.salt,
        table=tuple(
            tuple(None if np.isnan(value) else float(value) for value in row)
            for row in category.table
        ),
    )


def start_offsets(document: CalibrationDocument) -> OffsetState:
    """What intervals are offset by before any job has ended."""
    return OffsetState.from_table(np.array(document.offsets))


def reference_document(reference: Reference) -> ReferenceDocument:
    """A reference as it is written."""
    return ReferenceDocument(
        columns=tuple(
            WatchedColumnDocument(
                name=column.name,
                group=column.group,
                edges=tuple(column.edges.tolist()),
                shares=tuple(column.shares.tolist()),
            )
            for column in reference.columns
        )
    )


def reference_from(document: ReferenceDocument | None) -> Reference:
    """The reference of a bundle; one of nothing where it has none."""
    if document is None:
        return NO_REFERENCE
    return Reference(
        tuple(
            WatchedColumn(
                column.name,
                column.group,
                np.array(column.edges, dtype=np.float32),
                np.array(column.shares),
            )
            for column in document.columns
        )
    )


def range_documents(ranges: Mapping[str, Range]) -> dict[str, RangeDocument]:
    """Ranges as they are written."""
    return {name: RangeDocument(**asdict(found)) for name, found in ranges.items()}


def check_graph(config: EnsembleConfig) -> None:
    """Raises BundleError where the graph was made for other matrices than this program's."""
    experts = len(config.models)
    for what, found, expected in (
        ("takes", config.graph_inputs, input_sizes(experts)),
        ("gives", config.graph_outputs, output_sizes(experts)),
    ):
        if list(found.items()) != list(expected.items()):
            raise BundleError(
                f"ensemble_config.json: the graph {what} {_sizes(found)}, this program expects "
                f"{_sizes(expected)}: train a new bundle with `rt-predictor train`"
            )


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{size} {name}" for name, size in sizes.items())


def assembler_from(document: FeaturesDocument) -> Assembler:
    """The assembler that a bundle was trained with.

    Raises BundleError where the bundle was made for other inputs than this program assembles.
    """
    expected = tuple(item.name for item in INPUTS)
    if document.inputs != expected:
        raise BundleError(
            f"features.json is for the inputs {', '.join(document.inputs)}; this program assembles "
            f"{', '.join(expected)}: train a new bundle with `rt-predictor train`"
        )
    fields = tuple(category.field for category in document.categories)
    if fields != CATEGORY_FIELDS:
        raise BundleError(
            f"features.json has encoders for {fields}, expected {CATEGORY_FIELDS}: train a new "
            "bundle with `rt-predictor train`"
        )
    return Assembler(tuple(_category(category) for category in document.categories))


def _category(document: CategoryDocument) -> Category:
    table = np.array(
        [[np.nan if value is None else value for value in row] for row in document.table],
        dtype=np.float32,
    )
    shape = (FIRST_KNOWN_CODE + len(document.names), len(STATISTICS))
    if table.shape != shape:
        raise BundleError(
            f"features.json: the table of {document.field} has shape {table.shape}, expected "
            f"{shape}: train a new bundle with `rt-predictor train`"
        )
    return Category(document.field, document.names, table, document.salt)
