// What a person does in the V1 UI: opens the page of a run that is Paused, presses Resume, approves. Wants (ui.mjs) besides: notes.
import { page, picture, play, press, seen, wanted } from './ui.mjs';

async function resume() {
	await page.goto(wanted.page);
	await page.getByRole('button', { name: 'Resume' }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByRole('switch').click();
	await dialog.getByRole('textbox').fill(wanted.notes);
	seen.form = await dialog.innerText();
	await picture('form-v1');
	seen.resumed = await press(dialog.getByRole('button', { name: 'Submit' }), '/resume');
	await dialog.waitFor({ state: 'hidden' });
}

await play(resume);
