// Somebody opens the form in the V2 UI and goes for lunch. Meanwhile the run ends and is retried: another plan, another question.
// Then the old dialog is submitted. Wants (ui.mjs) besides: run, api, notes.
import { choose, openForm, page, picture, play, resumeButton, seen, wanted } from './ui.mjs';

const run = () => page.request.get(`${wanted.api}/flow_runs/${wanted.run}`).then((answer) => answer.json());

async function set(state) {
	for (let tries = 0; tries < 20; tries++)
		if ((await page.request.post(`${wanted.api}/flow_runs/${wanted.run}/set_state`, { data: { state, force: true } })).ok())
			return;
	throw new Error('the state cannot be set');
}

async function waitForQuestion(number) {
	const schema = `${wanted.api}/flow_runs/${wanted.run}/input/paused-${number}-schema`;
	for (let tries = 0; tries < 300; tries++) {
		if ((await run()).state_name === 'Paused' && (await page.request.get(schema)).ok())
			return;
		await page.waitForTimeout(200);
	}
	throw new Error(`question ${number} is not asked`);
}

async function submitTheOldDialog() {
	await page.goto(wanted.page);
	const dialog = await openForm();
	await choose(dialog, true);
	await dialog.getByLabel('Notes').fill(wanted.notes);
	await set({ type: 'FAILED', name: 'Failed', message: 'ended meanwhile' });
	await set({ type: 'SCHEDULED', name: 'AwaitingRetry' });
	await waitForQuestion(2);
	const answer = page.waitForResponse((response) => response.url().endsWith('/resume'));
	await resumeButton(dialog).click();
	seen.refusal = (await (await answer).json()).details.reason;
	await picture('outlived');
	seen.state = (await run()).state_name;
}

await play(submitTheOldDialog);
