from savedmodel_export.fused.int8_report import Int8Report

REPORT = Int8Report(
    products={
        "block_0/qkv": "int8",
        "block_0/mlp_out": "bfloat16",
        "block_1/qkv": "int8",
        "block_1/mlp_out": "int8",
    },
    sensitivity={"block_0/qkv": 1e-4},
    agreement=0.9921875,
    num_range_images=384,
    num_checked_images=128,
)


def test_the_table_counts_by_kind_and_names_what_stays():
    assert REPORT.table().splitlines() == [
        "product         int8  bfloat16",
        "qkv                2         0",
        "mlp_out            1         1  block_0",
        "Agreement with float32, best class: 99.2% on 128 images that chose no range",
    ]


def test_the_card_holds_all_of_it():
    card = REPORT.card()
    assert Int8Report(**card) == REPORT
