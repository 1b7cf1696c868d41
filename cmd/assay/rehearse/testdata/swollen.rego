package assay

x0 := 1

x1 := [x0] if input.subject.tag == "a"

x1 := {"a": x0} if input.subject.tag == "b"

x2 := [x1] if input.subject.tag == "a"

x2 := {"a": x1} if input.subject.tag == "b"

x3 := [x2] if input.subject.tag == "a"

x3 := {"a": x2} if input.subject.tag == "b"

x4 := [x3] if input.subject.tag == "a"

x4 := {"a": x3} if input.subject.tag == "b"

x5 := [x4] if input.subject.tag == "a"

x5 := {"a": x4} if input.subject.tag == "b"

x6 := [x5] if input.subject.tag == "a"

x6 := {"a": x5} if input.subject.tag == "b"

x7 := [x6] if input.subject.tag == "a"

x7 := {"a": x6} if input.subject.tag == "b"

x8 := [x7] if input.subject.tag == "a"

x8 := {"a": x7} if input.subject.tag == "b"

x9 := [x8] if input.subject.tag == "a"

x9 := {"a": x8} if input.subject.tag == "b"

x10 := [x9] if input.subject.tag == "a"

x10 := {"a": x9} if input.subject.tag == "b"

x11 := [x10] if input.subject.tag == "a"

x11 := {"a": x10} if input.subject.tag == "b"

x12 := [x11] if input.subject.tag == "a"

x12 := {"a": x11} if input.subject.tag == "b"

x13 := [x12] if input.subject.tag == "a"

x13 := {"a": x12} if input.subject.tag == "b"

x14 := [x13] if input.subject.tag == "a"

x14 := {"a": x13} if input.subject.tag == "b"

x15 := [x14] if input.subject.tag == "a"

x15 := {"a": x14} if input.subject.tag == "b"

x16 := [x15] if input.subject.tag == "a"

x16 := {"a": x15} if input.subject.tag == "b"

x17 := [x16] if input.subject.tag == "a"

x17 := {"a": x16} if input.subject.tag == "b"

x18 := [x17] if input.subject.tag == "a"

x18 := {"a": x17} if input.subject.tag == "b"

x19 := [x18] if input.subject.tag == "a"

x19 := {"a": x18} if input.subject.tag == "b"

x20 := [x19] if input.subject.tag == "a"

x20 := {"a": x19} if input.subject.tag == "b"

x21 := [x20] if input.subject.tag == "a"

x21 := {"a": x20} if input.subject.tag == "b"

x22 := [x21] if input.subject.tag == "a"

x22 := {"a": x21} if input.subject.tag == "b"

x23 := [x22] if input.subject.tag == "a"

x23 := {"a": x22} if input.subject.tag == "b"

x24 := [x23] if input.subject.tag == "a"

x24 := {"a": x23} if input.subject.tag == "b"

x25 := [x24] if input.subject.tag == "a"

x25 := {"a": x24} if input.subject.tag == "b"

x26 := [x25] if input.subject.tag == "a"

x26 := {"a": x25} if input.subject.tag == "b"

x27 := [x26] if input.subject.tag == "a"

x27 := {"a": x26} if input.subject.tag == "b"

x28 := [x27] if input.subject.tag == "a"

x28 := {"a": x27} if input.subject.tag == "b"

x29 := [x28] if input.subject.tag == "a"

x29 := {"a": x28} if input.subject.tag == "b"

x30 := [x29] if input.subject.tag == "a"

x30 := {"a": x29} if input.subject.tag == "b"

push.deny contains {"code": "a.b", "msg": "x"} if x30 == 1

push.deny contains {"code": "a.c", "msg": "x"} if x29 == 1
