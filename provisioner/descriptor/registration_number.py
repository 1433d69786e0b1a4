"""Korean business registration numbers (사업자등록번호): ten digits, the last of which checks the others."""

import re

from provisioner.descriptor.fields import problem, shown, written

_FORM = re.compile(r"([0-9]{3})-?([0-9]{2})-?([0-9]{5})")
_WEIGHTS = (1, 3, 7, 1, 3, 7, 1, 3, 5)


def registration_number(value: object) -> str:
    """The ten digits of a number that is written as 000-00-00000 or 0000000000."""
    text = written(value)
    match = _FORM.fullmatch(text)
    if match is None:
        raise problem(f"{shown(text)} is not a business registration number", hint="write it as 000-00-00000")
    digits = "".join(match.groups())
    if check_digit(digits) != int(digits[-1]):
        raise problem(
            f"{shown(text)} is not a business registration number: its last digit does not fit the others",
            hint="compare it with the certificate of registration",
        )
    return digits


def check_digit(digits: str) -> int:
    """What the tenth digit must be, by the first nine of ``digits``.

    Source: National Tax Service of Korea, check of business registration numbers (weights 1 3 7 1 3 7 1 3 5; of the
    ninth digit's product the tens count once more), as in python-stdnum, module stdnum.kr.brn.
    """
    products = [weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=False)]
    return -(sum(products) + products[-1] // 10) % 10


def written_out(digits: str) -> str:
    """The number as people write it: 000-00-00000."""
    return f"{digits[:3]}-{digits[3:5]}-{digits[5:]}" if digits else ""
