module coopctl/toolchain/probe

go 1.25.0
