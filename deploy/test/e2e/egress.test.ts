// What a function may reach, on one machine.
import { reachCases } from "../egress/reach-cases.ts";
import { place } from "./place.ts";

reachCases(() => place);
