/* The interface of the valve TA: the only program that the device lets move the valve.
 *
 * It speaks to the peripheral "valve" with the commands `open`, `close` and `status` (ASCII); the peripheral answers
 * with the position it then has, `open` or `closed`.
 *
 * Every command has parameter 0: value out, a = 1 if the valve is open and 0 if it is closed,
 * b = movements that this TA has made since it was installed.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef VALVE_H
#define VALVE_H

#define VALVE_CMD_OPEN 1u
#define VALVE_CMD_CLOSE 2u
#define VALVE_CMD_STATUS 3u

#endif
