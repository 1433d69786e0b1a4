"""How the solutions on offer look: a table of all, or all that is known of one."""

from collections.abc import Iterator, Sequence
from typing import Any

from cli.views import human, json
from cli.views.policy import counted
from provisioner.catalogue.data_map import DataMap
from provisioner.catalogue.images.contents import ImageContents
from provisioner.catalogue.images.sbom import Component
from provisioner.catalogue.offer import FREE, Needs, Price, Serving
from provisioner.catalogue.requirement import Requirement
from provisioner.catalogue.solution import Solution

_NOT_STATED = "(not stated)"
_NONE = "none"


def show_list(solutions: Sequence[Solution], *, output: str) -> None:
    """Show each solution in a line."""
    if output == "json":
        json.write("Catalogue", {"solutions": [_solution_document(one) for one in solutions]})
        return
    rows: list[tuple[str, ...]] = [
        (
            one.name,
            one.display_name_ko,
            one.display_name_en,
            str(one.category),
            one.version,
            str(one.offer.review),
            _price(one.offer.price),
            one.offer.licence or _NOT_STATED,
            _layout(one),
        )
        for one in solutions
    ]
    columns = ("solution", "Korean name", "English name", "category", "version", "review", "price", "licence", "layout")
    human.stdout().print(human.table(*columns, rows=rows))


def show_solution(solution: Solution, *, contents: Sequence[ImageContents], output: str) -> None:
    """Show all that is known of a solution."""
    if output == "json":
        document = {**_solution_document(solution), "images": [_image_document(one) for one in contents]}
        json.write("Solution", document)
        return
    out = human.stdout()
    out.print(
        f"{solution.name} {solution.version}: {solution.display_name_ko} ({solution.display_name_en})", markup=False
    )
    if solution.description:
        out.print(f"  {solution.description}", markup=False)
    for name, value in (*_terms(solution), *_needs(solution.offer.needs), *_data(solution.data_map)):
        out.print(f"  {f'{name}:':<18}{value}", markup=False)
    for image in contents:
        out.print(f"  {'image:':<18}{_image(image)}", markup=False)
    packages = [_package(one, image=image.name) for image in contents if image.sbom for one in image.sbom.components]
    if packages:
        out.print(human.table("image", "package", "version", "source", rows=packages))


def _terms(solution: Solution) -> Iterator[tuple[str, str]]:
    offer = solution.offer
    yield "category", str(solution.category)
    yield "sectors", _listed(solution.sectors, empty="every sector")
    yield "review", str(offer.review)
    yield "publisher", offer.publisher or _NOT_STATED
    yield "licence", offer.licence or _NOT_STATED
    yield "source", offer.source or _NOT_STATED
    yield "support contact", offer.support_contact or _NOT_STATED
    yield "price", _price(offer.price)
    yield "depends on", _listed(_requirements(solution.depends, of=solution))
    yield "integrates", _listed(_requirements(solution.integrates, of=solution))
    yield "serves", str(solution.serves or _NONE)
    yield "member layout", _layout(solution)
    yield "host", f"{solution.host}.DOMAIN" if solution.host else "none: it has no page"


def _layout(solution: Solution) -> str:
    return str(solution.member_layout or "any")


def _requirements(names: Sequence[str], *, of: Solution) -> tuple[str, ...]:
    return tuple(str(Requirement(name=name, at_least=of.oldest.get(name, ""))) for name in names)


def _needs(needs: Needs) -> Iterator[tuple[str, str]]:
    yield "needs size", str(needs.size)
    yield "needs extensions", _listed(needs.extensions)
    yield "needs bucket", "yes" if needs.bucket else "no"
    yield "needs egress", _listed(tuple(f"{way.host}:{way.port}" for way in needs.egress))


def _data(data_map: DataMap | None) -> Iterator[tuple[str, str]]:
    if data_map is None:
        yield "data map", "none: whose its data are is not known"
        return
    yield "members' tables", _listed(tuple(data_map.members))
    yield "shared tables", _listed(tuple(sorted(data_map.shared)))
    yield "members' objects", _listed(data_map.member_objects)
    yield "shared objects", _listed(data_map.shared_objects)


def _image(image: ImageContents) -> str:
    if image.locked is None:
        return f"{image.name} (no digest here)"
    packages = counted(len(image.sbom.components), "package") if image.sbom else "packages not known on this machine"
    return f"{image.name} {image.locked.repository}@{image.locked.digest}, {packages}"


def _package(component: Component, *, image: str) -> tuple[str, ...]:
    return image, component.name, component.version, component.source or component.name


def _price(price: Price | None) -> str:
    if price is None:
        return _NOT_STATED
    return f"{price.won} KRW per {price.per} and month" if price.won else FREE


def _listed(items: Sequence[str], *, empty: str = _NONE) -> str:
    return ", ".join(items) or empty


def _solution_document(solution: Solution) -> dict[str, Any]:
    offer = solution.offer
    return {
        "name": solution.name,
        "version": solution.version,
        "displayName": {"ko": solution.display_name_ko, "en": solution.display_name_en},
        "description": solution.description,
        "category": str(solution.category),
        "sectors": list(solution.sectors),
        "review": str(offer.review),
        "publisher": offer.publisher,
        "licence": offer.licence,
        "source": offer.source,
        "supportContact": offer.support_contact,
        "price": {"won": offer.price.won, "per": str(offer.price.per)} if offer.price else None,
        "needs": _needs_document(offer.needs),
        "depends": list(solution.depends),
        "integrates": list(solution.integrates),
        "oldest": dict(solution.oldest),
        "serves": _serving_document(solution.serves),
        "memberLayout": solution.member_layout,
        "host": solution.host,
        "imageNames": list(solution.images),
        "dataMap": _map_document(solution.data_map),
        "chart": str(solution.chart),
    }


def _serving_document(serving: Serving | None) -> dict[str, Any] | None:
    if serving is None:
        return None
    return {
        "scheme": serving.scheme,
        "port": serving.port,
        "podPort": serving.pod_port,
        "path": serving.path,
    }


def _needs_document(needs: Needs) -> dict[str, Any]:
    return {
        "size": str(needs.size),
        "extensions": list(needs.extensions),
        "bucket": needs.bucket,
        "egress": [{"host": way.host, "port": way.port} for way in needs.egress],
    }


def _map_document(data_map: DataMap | None) -> dict[str, Any] | None:
    if data_map is None:
        return None
    return {
        "members": {table: list(path) for table, path in data_map.members.items()},
        "shared": sorted(data_map.shared),
        "memberObjects": list(data_map.member_objects),
        "sharedObjects": list(data_map.shared_objects),
    }


def _image_document(image: ImageContents) -> dict[str, Any]:
    return {
        "name": image.name,
        "repository": image.locked.repository if image.locked else None,
        "digest": image.locked.digest if image.locked else None,
        "packages": [_package_document(one) for one in image.sbom.components] if image.sbom else None,
    }


def _package_document(component: Component) -> dict[str, Any]:
    return {
        "name": component.name,
        "version": component.version,
        "source": component.source or component.name,
        "sha256": component.sha256,
    }
