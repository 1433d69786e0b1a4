module coopctl/toolchain/pause

go 1.25.0
