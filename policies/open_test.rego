package assay_test

import data.assay

test_everything_is_allowed_at_push if count(assay.push.deny) == 0 with input as {"subject": {"kind": "image"}}

test_everything_is_admitted if count(assay.admit.deny) == 0 with input as {"subject": {"kind": "image"}, "signatures": []}

test_every_tag_is_allowed if count(assay.tag.deny) == 0 with input as {"subject": {"tag": "latest"}}
