// Functions that call each other, on one machine.
import { callCases } from "../egress/call-cases.ts";
import { place } from "./place.ts";

callCases(() => place);
