import pytest

from cadnode.node.job_database import JsonSerializer, StepFailed


@pytest.mark.parametrize("value", [None, True, 3, "key", {"args": ["a", 1.5], "kwargs": {}}])
def test_plain_values_come_back_equal(value: object) -> None:
    serializer = JsonSerializer()
    assert serializer.deserialize(serializer.serialize(value)) == value


def test_an_exception_is_kept_by_its_class_name_alone() -> None:
    serializer = JsonSerializer()
    text = serializer.serialize(ValueError("patient DOE^JANE"))
    assert "DOE" not in text
    back = serializer.deserialize(text)
    assert isinstance(back, StepFailed)
    assert str(back) == "ValueError"


def test_what_is_not_plain_is_refused_rather_than_pickled() -> None:
    with pytest.raises(TypeError, match="does not belong in the job database"):
        JsonSerializer().serialize(object())
