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

y0 := 1

y1 := [y0] if input.subject.tag == "a"

y1 := {"a": y0} if input.subject.tag == "b"

y2 := [y1] if input.subject.tag == "a"

y2 := {"a": y1} if input.subject.tag == "b"

y3 := [y2] if input.subject.tag == "a"

y3 := {"a": y2} if input.subject.tag == "b"

y4 := [y3] if input.subject.tag == "a"

y4 := {"a": y3} if input.subject.tag == "b"

y5 := [y4] if input.subject.tag == "a"

y5 := {"a": y4} if input.subject.tag == "b"

y6 := [y5] if input.subject.tag == "a"

y6 := {"a": y5} if input.subject.tag == "b"

y7 := [y6] if input.subject.tag == "a"

y7 := {"a": y6} if input.subject.tag == "b"

y8 := [y7] if input.subject.tag == "a"

y8 := {"a": y7} if input.subject.tag == "b"

y9 := [y8] if input.subject.tag == "a"

y9 := {"a": y8} if input.subject.tag == "b"

y10 := [y9] if input.subject.tag == "a"

y10 := {"a": y9} if input.subject.tag == "b"

y11 := [y10] if input.subject.tag == "a"

y11 := {"a": y10} if input.subject.tag == "b"

y12 := [y11] if input.subject.tag == "a"

y12 := {"a": y11} if input.subject.tag == "b"

y13 := [y12] if input.subject.tag == "a"

y13 := {"a": y12} if input.subject.tag == "b"

y14 := [y13] if input.subject.tag == "a"

y14 := {"a": y13} if input.subject.tag == "b"

y15 := [y14] if input.subject.tag == "a"

y15 := {"a": y14} if input.subject.tag == "b"

y16 := [y15] if input.subject.tag == "a"

y16 := {"a": y15} if input.subject.tag == "b"

y17 := [y16] if input.subject.tag == "a"

y17 := {"a": y16} if input.subject.tag == "b"

y18 := [y17] if input.subject.tag == "a"

y18 := {"a": y17} if input.subject.tag == "b"

y19 := [y18] if input.subject.tag == "a"

y19 := {"a": y18} if input.subject.tag == "b"

y20 := [y19] if input.subject.tag == "a"

y20 := {"a": y19} if input.subject.tag == "b"

y21 := [y20] if input.subject.tag == "a"

y21 := {"a": y20} if input.subject.tag == "b"

y22 := [y21] if input.subject.tag == "a"

y22 := {"a": y21} if input.subject.tag == "b"

y23 := [y22] if input.subject.tag == "a"

y23 := {"a": y22} if input.subject.tag == "b"

y24 := [y23] if input.subject.tag == "a"

y24 := {"a": y23} if input.subject.tag == "b"

push.deny contains {"code": "a.b", "msg": "x"} if x24 == y24
